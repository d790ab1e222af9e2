//! What the product is built from may be used and passed on: every dependency's licence is on the list in
//! `deny.toml`, and every dependency comes from the registry. `cargo deny check` reads the same list.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Whether an SPDX expression can be met by licences of the list. `/` is the old way to write `OR`.
fn allowed(expression: &str, list: &[String]) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let met = |one: &str| list.iter().any(|l| l == one.trim());
    // A bracketed expression is taken as the stricter reading: every OR group must hold one that is allowed.
    flat.split(" AND ").all(|group| group.split(" OR ").any(met))
}

#[test]
fn every_dependency_has_a_licence_of_the_list_and_comes_from_the_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let deny: toml::Table = std::fs::read_to_string(root.join("deny.toml")).unwrap().parse().unwrap();
    let list = deny["licenses"]["allow"].as_array().unwrap();
    let list: Vec<String> = list.iter().map(|l| l.as_str().unwrap().to_owned()).collect();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(&root)
        .output()
        .unwrap();
    if !output.status.success() {
        // Packages of other systems are named in the lock file but need not have been fetched.
        return synop::testing::skip(&String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 20, "hardly any package is listed");
    let mut wrong = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("");
        let source = package["source"].as_str().unwrap_or("registry+");
        if !allowed(licence, &list) || !source.starts_with("registry+") {
            wrong.push(format!("{} {}: `{licence}` from {source}", package["name"], package["version"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn expressions_are_read() {
    let list = ["MIT".to_owned(), "Apache-2.0".to_owned()];
    assert!(allowed("MIT OR GPL-3.0", &list) && allowed("GPL-3.0/MIT", &list));
    assert!(allowed("(MIT OR Apache-2.0) AND MIT", &list));
    assert!(!allowed("GPL-3.0", &list) && !allowed("MIT AND GPL-3.0", &list) && !allowed("", &list));
}

//! Every command in the README and in the book does what the page says it does: it runs, and ends well.
//!
//! A page's commands run in order in one empty folder in which the repository's data, experiments and golden
//! files can be seen, so that a command may use what an earlier one wrote. A block after the line
//! `<!-- slow -->` is only parsed; one after `<!-- fails -->` must end with exit code 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use synop::cli::Cli;

/// What is expected of a block of commands.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Runs,
    Fails,
    Parses,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the checkout is there")
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs/src"))
        .expect("the book is there")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// The `synop` commands of a page's shell blocks, with what is expected of them; continuation lines joined.
fn commands(page: &str) -> Vec<(Expect, String)> {
    let mut found = Vec::new();
    let mut expect = Expect::Runs;
    let mut inside = false;
    let mut joined = String::new();
    for line in page.lines() {
        let text = line.trim();
        match text {
            "<!-- slow -->" => expect = Expect::Parses,
            "<!-- fails -->" => expect = Expect::Fails,
            "```sh" | "```console" => inside = true,
            "```" if inside => (inside, expect) = (false, Expect::Runs),
            _ if !inside => {}
            _ => {
                joined.push_str(text.strip_prefix("$ ").unwrap_or(text).trim_end_matches('\\'));
                if text.ends_with('\\') {
                    continue;
                }
                let command = std::mem::take(&mut joined);
                let command = command.replacen("cargo run --release -- ", "synop ", 1);
                if command.starts_with("synop ") {
                    found.push((expect, command));
                }
            }
        }
    }
    found
}

/// Splits a command as a shell would: quotes group, a pipe, redirection or comment ends it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, '|' | '>' | '#' | '&' | ';') => break,
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Runs a command in `folder`; its exit code and what it said on standard error.
fn run(command: &str, folder: &Path) -> (Option<i32>, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_synop"));
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .env("SYNOP_DATA", synop::testing::data_dir())
        .output()
        .expect("a shell is there");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether a command needs a data set that is not part of the repository, and that is not here.
fn lacks_data(command: &str) -> bool {
    let named = match words(command).iter().find(|w| w.ends_with(".toml")) {
        Some(file) => fs::read_to_string(root().join(file)).unwrap_or_default(),
        None => String::new(),
    };
    (command.contains("mnist") || named.contains("mnist"))
        && !synop::testing::data_dir().join("mnist").is_dir()
}

#[test]
fn every_command_in_the_docs_runs() {
    let mut wrong = Vec::new();
    let mut ran = 0;
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        for shared in ["data", "experiments", "tests", "docs", "firmware", "crates"] {
            #[cfg(unix)]
            std::os::unix::fs::symlink(root().join(shared), folder.path().join(shared)).unwrap();
        }
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        for (expect, command) in commands(&fs::read_to_string(&page).unwrap()) {
            if let Err(error) = Cli::try_parse_from(words(&command))
                && expect != Expect::Fails
                && error.exit_code() != 0
            {
                wrong.push(format!("{name}: `{command}` does not parse: {error}"));
                continue;
            }
            if expect == Expect::Parses {
                continue;
            }
            if lacks_data(&command) {
                synop::testing::skip(&format!("{name}: `{command}` needs MNIST"));
                continue;
            }
            let (code, said) = run(&command, folder.path());
            ran += 1;
            let good = match expect {
                Expect::Fails => matches!(code, Some(1 | 2)),
                _ => code == Some(0),
            };
            if !good {
                wrong.push(format!("{name}: `{command}` ended with {code:?}:\n{said}"));
            }
        }
    }
    assert!(ran >= 20, "only {ran} commands were found in the docs");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_book_lists_every_page_once() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    for page in pages() {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        if name != "SUMMARY.md" && name != "README.md" {
            assert_eq!(summary.matches(&format!("({name})")).count(), 1, "{name} in SUMMARY.md");
        }
    }
    for link in summary.split("](").skip(1) {
        let name = link.split(')').next().unwrap();
        assert!(root().join("docs/src").join(name).is_file(), "SUMMARY.md names {name}, which is not there");
    }
}

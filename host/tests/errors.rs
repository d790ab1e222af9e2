//! Every error text a user can provoke from the command line: each case provokes it, and the table of the book,
//! `docs/src/errors.md`, is what they said. `SYNOP_BLESS=1` writes the table anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A mistake: a name for the table, files to write first, the command, the exit code it must end with.
struct Case {
    mistake: &'static str,
    files: &'static [(&'static str, &'static str)],
    command: &'static str,
    code: i32,
}

const fn case(mistake: &'static str, command: &'static str) -> Case {
    Case { mistake, files: &[], command, code: 2 }
}

const CASES: &[Case] = &[
    case("a chip that does not ship", "demo --chip loihi3"),
    case(
        "a chip that cannot ship",
        "estimate tests/golden/nir/digits_snntorch.nir --data digits --split test --encode rate:25 --chip loihi2",
    ),
    Case {
        mistake: "a chip file with an unknown key",
        files: &[("chip.toml", "name = \"mine\"\ncolour = \"red\"\n")],
        command: "chips show ./chip.toml",
        code: 2,
    },
    case("a device that does not ship", "devices show unobtainium"),
    Case {
        mistake: "a device file without its steps",
        files: &[("device.toml", "name = \"mine\"\n")],
        command: "devices show ./device.toml",
        code: 2,
    },
    case("a rule file that is not there", "rule absent.rule"),
    Case {
        mistake: "a rule with an unknown variable",
        files: &[("bad.rule", "rule bad { end of sample; dw = 2^-4*q1 }\n")],
        command: "rule bad.rule",
        code: 2,
    },
    case("an encoder that does not exist", "encode morse:25 --values 1"),
    case("an encoder with an unknown option", "encode rate:25,colour=red --values 1"),
    case("a digit that does not exist", "encode rate:8 --digit 99999"),
    Case {
        mistake: "an output folder that cannot be made",
        files: &[("taken", "a file\n")],
        command: "encode rate:8 --digit 0 --out taken/report",
        code: 1,
    },
    case("a network that is not there", "inspect absent.nir"),
    case("a network cut off in writing", "inspect tests/golden/nir/broken_norse_conv_partial.nir"),
    case("a file of no known kind", "inspect tests/golden/nir/README.md"),
    case(
        "weights of one bit",
        "quantize tests/golden/nir/digits_snntorch.nir --data digits --split test --encode rate:25 --bits 1",
    ),
    case(
        "weights of a negative width",
        "quantize tests/golden/nir/digits_snntorch.nir --data digits --split test --encode rate:25 --bits -8",
    ),
    case(
        "weights of 99 bits",
        "compile tests/golden/nir/digits_snntorch.nir -o net.synopimg --chip loihi1 --bits 99",
    ),
    case(
        "an unknown profile",
        "estimate tests/golden/nir/digits_snntorch.nir --data digits --encode rate:25 --profile lava",
    ),
    case("a network without input", "estimate tests/golden/nir/digits_snntorch.nir"),
    case(
        "an input file that is not there",
        "estimate tests/golden/nir/digits_snntorch.nir --input absent.npy",
    ),
    case(
        "data that do not fit the network",
        "quantize tests/golden/nir/mnist_small_snntorch.nir --data digits --split test --encode rate:25",
    ),
    case(
        "a data set that is not there",
        "quantize tests/golden/nir/digits_snntorch.nir --data mnist --split test --encode rate:25",
    ),
    case("a trace that is not there", "compare a.json b.json"),
    case("an experiment that is not there", "run absent.toml"),
    Case {
        mistake: "an experiment with an unknown task",
        files: &[("task.toml", "task = \"levitation\"\n")],
        command: "run task.toml",
        code: 2,
    },
    case("an experiment with an unknown key", "run experiments/digits-local.toml --set network.colour=7"),
    case(
        "a negative bit width in an experiment",
        "run experiments/digits-local.toml --set network.weight_bits=-8",
    ),
    case("a sweep over a key that does not exist", "sweep experiments/digits-local.toml --set nothing=1,2"),
    case("an image that is not there", "firmware net.synopimg --board z80"),
];

/// The parts of an error text.
#[derive(Default)]
struct Parts {
    what: String,
    found: String,
    expected: String,
    mend: String,
}

fn parts(stderr: &str) -> Parts {
    let mut parts = Parts::default();
    let mut field = &mut parts.what;
    let Some(at) = stderr.find("error: ") else { return parts };
    for line in stderr[at + "error: ".len()..].lines() {
        let text = line.trim();
        let rest = if let Some(rest) = text.strip_prefix("found:") {
            field = &mut parts.found;
            rest
        } else if let Some(rest) = text.strip_prefix("expected:") {
            field = &mut parts.expected;
            rest
        } else if let Some(rest) = text.strip_prefix("mend:") {
            field = &mut parts.mend;
            rest
        } else {
            text
        };
        if !field.is_empty() {
            field.push(' ');
        }
        field.push_str(rest.trim());
    }
    parts
}

fn cell(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.replace('|', "\\|").replace('<', "&lt;") }
}

#[test]
fn every_mistake_is_answered_and_stands_in_the_book() {
    let mut page = String::from(
        "# Every error text\n\nWritten by `SYNOP_BLESS=1 cargo test --release -p synop --test errors`, which provokes \
         each of them. The text begins with\nthe file and the place in it. Exit code 2: bad use or bad input; 1: the work \
         failed.\n\n| mistake | command | exit | text | found | expected | mend |\n|---|---|---|---|---|---|---|\n",
    );
    let mut wrong = Vec::new();
    for case in CASES {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in case.files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        for shared in ["tests", "experiments"] {
            #[cfg(unix)]
            std::os::unix::fs::symlink(root.join(shared), folder.path().join(shared)).unwrap();
        }
        let output = Command::new(env!("CARGO_BIN_EXE_synop"))
            .args(case.command.split_whitespace())
            .current_dir(folder.path())
            .env("SYNOP_DATA", "no-such-folder")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let parts = parts(&stderr);
        if output.status.code() != Some(case.code) {
            let (code, command) = (output.status.code(), case.command);
            wrong.push(format!("`{command}` ended with {code:?}, {} expected:\n{stderr}", case.code));
        }
        let says = [
            "mend:",
            "expected",
            "known:",
            "--help",
            "lists what ships",
            "possible values",
            "prints a complete one",
        ];
        if parts.what.is_empty() || !says.iter().any(|word| stderr.contains(word)) {
            wrong.push(format!(
                "`{}` says neither what is expected nor how to mend it:\n{stderr}",
                case.command
            ));
        }
        if !output.stdout.is_empty() {
            wrong.push(format!("`{}` fails but prints on standard output", case.command));
        }
        writeln!(
            page,
            "| {} | `synop {}` | {} | {} | {} | {} | {} |",
            case.mistake,
            case.command,
            case.code,
            cell(&parts.what),
            cell(&parts.found),
            cell(&parts.expected),
            cell(&parts.mend)
        )
        .unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/errors.md");
    if std::env::var_os("SYNOP_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/src/errors.md is not what the commands say; SYNOP_BLESS=1 writes it anew");
}

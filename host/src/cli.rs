//! The command line: the common options, the table of commands, and the way out.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::Failure;
use crate::commands;
use crate::table::TERMINAL;

/// Emulate spiking networks on neuromorphic chips: what they cost, what they learn, where they fit
#[derive(Debug, Parser)]
#[command(name = "synop", version, max_term_width = 100)]
#[command(after_help = "\
Exit code: 0 done, 1 the work failed, 2 bad use or bad input.
Standard output carries the result, standard error everything else.")]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Seed of everything random; the same seed gives the same result [default: 1]
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Print exactly one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Write the report and its tables to this folder
    #[arg(long, global = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads to use; results do not depend on it [default: one per processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Folder of the data sets [default: $SYNOP_DATA, else ../shared/data]; or a data set: digits, mnist,
    /// mnist-umap7, or DIR/mnist
    #[arg(long, global = true, value_name = "DIR|SET")]
    pub data: Option<PathBuf>,
}

impl Common {
    /// The seed, 1 unless given.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// The number of threads: as given, else one per processor.
    pub fn threads(&self) -> usize {
        match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Runs `work` with [`Self::threads`] threads for every parallel iterator inside it.
    ///
    /// # Errors
    /// The work failed: the threads cannot be started.
    pub fn in_pool<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads()).build().map_err(|error| {
            Failure::work(format_args!("cannot start threads: {error}"))
                .place("--threads")
                .found(self.threads())
                .mend("use fewer threads")
        })?;
        Ok(pool.install(work))
    }

    /// The folder of the data sets: `--data` where it names a folder, else `$SYNOP_DATA`, else `../shared/data`.
    pub fn data_dir(&self) -> PathBuf {
        let named = self.data.as_ref().and_then(|path| match data_set_name(path) {
            Some(_) => path.parent().filter(|folder| !folder.as_os_str().is_empty()),
            None => Some(path.as_path()),
        });
        match named {
            Some(folder) => folder.to_path_buf(),
            None => std::env::var_os("SYNOP_DATA")
                .filter(|folder| !folder.is_empty())
                .map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from),
        }
    }

    /// The data set that `--data` names, with the folder that holds it; none without `--data`.
    ///
    /// # Errors
    /// Bad input: `--data` ends in no known name.
    pub fn data_set(&self) -> Result<Option<(String, PathBuf)>, Failure> {
        let Some(path) = &self.data else { return Ok(None) };
        match data_set_name(path) {
            Some(name) => Ok(Some((name.to_owned(), self.data_dir()))),
            None => Err(Failure::bad_input("there is no such data set")
                .place("--data")
                .found(path.display())
                .expected(format_args!("{}, or a folder's, such as DIR/mnist", DATA_SETS.join(", ")))
                .mend("name the set, and its folder by $SYNOP_DATA; a file of your own goes to --input")),
        }
    }

    /// Prints the result as [`Common::print`] does, then writes it to the folder of `--out`, if one was named: what
    /// was computed is seen even where it cannot be written.
    ///
    /// # Errors
    /// As [`Common::print`], and those of `write`.
    pub fn deliver(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
        write: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.print(value, text)?;
        self.out.as_deref().map_or(Ok(()), write)
    }

    /// Prints the result: with `--json` the value as one JSON object, else the text.
    ///
    /// # Errors
    /// The work failed: the value is not expressible in JSON or standard output is closed.
    pub fn print(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if !self.json {
            return print_text(&folded(&text()));
        }
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::work(format_args!("the result is not JSON: {error}")))?;
        print_text(&json)
    }
}

/// Names that `--data` takes for a set.
const DATA_SETS: [&str; 3] = ["digits", "mnist", "mnist-umap7"];

/// The data set at the end of a path.
fn data_set_name(path: &Path) -> Option<&'static str> {
    let last = path.file_name()?.to_str()?;
    DATA_SETS.into_iter().find(|name| *name == last)
}

/// A width in bits. Whether it suits the network and the chip is said where those are known.
pub(crate) fn bits(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a number of bits from 2 to 16".to_owned())
}

/// Breaks lines that are wider than a terminal at blanks. What goes on is indented; behind a name and a gap, as far as
/// the gap. Rows of more columns stay whole.
fn folded(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        let body = line.trim_start();
        let gaps = body.match_indices("  ").filter(|(at, _)| !body[..*at].ends_with(' ')).count();
        if line.chars().count() <= TERMINAL || gaps > 1 {
            lines.push(line.into());
            continue;
        }
        let behind = body.split_once("  ").map(|(name, rest)| {
            let blanks = rest.len() - rest.trim_start().len();
            indent + name.chars().count() + 2 + blanks
        });
        let hang = " ".repeat(behind.filter(|at| *at <= TERMINAL / 2).unwrap_or(indent + 2));
        let options = textwrap::Options::new(TERMINAL).subsequent_indent(&hang).break_words(false);
        lines.extend(textwrap::wrap(line, options.word_splitter(textwrap::WordSplitter::NoHyphenation)));
    }
    lines.join("\n")
}

/// Prints text on standard output and ends it with a line end.
///
/// A reader that stops early, such as `head`, is no failure.
///
/// # Errors
/// The work failed: standard output cannot be written to.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot_write("standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Says something on standard error that the user should know.
pub fn warn(text: impl std::fmt::Display) {
    eprintln!("warning: {text}");
}

/// The table of commands: a name for the enum and the module in [`commands`] with its
/// `Args` and `run`. The help text of a command is the doc comment of its `Args`.
macro_rules! commands {
    ($($Name:ident = $module:ident,)*) => {
        /// The commands, in the order of the help.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $(#[allow(missing_docs)] $Name(commands::$module::Args),)*
        }

        impl Command {
            /// Runs the command.
            ///
            /// # Errors
            /// What the command reports.
            pub fn run(&self, common: &Common) -> Result<(), Failure> {
                match self {
                    $(Self::$Name(args) => commands::$module::run(args, common),)*
                }
            }
        }
    };
}

// One line per command; alphabetical.
commands! {
    Attractor = attractor,
    Bench = bench,
    Chips = chips,
    Compare = compare,
    Compile = compile,
    Completions = completions,
    Demo = demo,
    Devices = devices,
    Encode = encode,
    Estimate = estimate,
    Firmware = firmware,
    Import = import,
    Inspect = inspect,
    Quantize = quantize,
    Rule = rule,
    Run = run,
    Sweep = sweep,
}

/// Parses the command line, runs the command and turns its end into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run(&cli.common) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn long_lines_are_broken_at_blanks_and_rows_are_not() {
        let words = "word ".repeat(30);
        let prose = folded(&format!("  note: {words}\nshort"));
        assert!(prose.lines().all(|line| line.chars().count() <= TERMINAL), "{prose}");
        let mut lines = prose.lines();
        assert!(lines.next().unwrap().starts_with("  note: word"));
        assert!(lines.next().unwrap().starts_with("    word"));
        assert_eq!(lines.next_back(), Some("short"));
        let named = folded(&format!("name      {words}"));
        assert!(named.lines().skip(1).all(|line| line.starts_with("          word")), "{named}");
        let row = "1.0    2.0    ".repeat(9);
        assert_eq!(folded(&row), row);
    }

    /// A path of subcommands and its definition, depth first.
    fn walk(path: &str, command: &clap::Command, see: &mut impl FnMut(&str, &clap::Command)) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            see(&path, sub);
            walk(&path, sub, see);
        }
    }

    /// Splits an example as a shell would: quotes group, a pipe or redirection ends it.
    fn words(example: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in example.chars() {
            match (quote, c) {
                (None, '|' | '>' | '#') => break,
                (None, '\'' | '"') => quote = Some(c),
                (Some(q), c) if c == q => quote = None,
                (None, ' ') => words.push(String::new()),
                (_, c) => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_examples_that_parse() {
        let root = Cli::command();
        walk("synop", &root, &mut |path, command| {
            assert!(command.get_about().is_some(), "{path}: no description");
            if command.has_subcommands() {
                return;
            }
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("{path}: no examples in its after_help"));
            let examples: Vec<_> =
                help.lines().map(str::trim).filter(|line| line.starts_with("synop ")).collect();
            assert!(!examples.is_empty(), "{path}: no examples in its after_help");
            for example in examples {
                if let Err(error) = Cli::try_parse_from(words(example)) {
                    panic!("{path}: the example `{example}` does not parse: {error}");
                }
                assert!(example.len() <= 96, "{path}: long example: {example}");
            }
        });
    }
}

//! What a command says when it cannot go on.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a command stopped, and with which exit code.
///
/// The text answers five questions, as far as they apply: which file, which place
/// in it, what was found, what was expected, and how to mend it.
///
/// ```
/// use synop::Failure;
/// let failure = Failure::bad_input("weights need 1 to 16 bits")
///     .file("net.toml")
///     .place("network.weight_bits")
///     .found(-3)
///     .expected("an integer from 1 to 16")
///     .mend("set weight_bits = 8");
/// assert_eq!(failure.exit_code(), 2);
/// assert_eq!(
///     failure.to_string(),
///     "net.toml: network.weight_bits: weights need 1 to 16 bits\n  \
///      found:    -3\n  \
///      expected: an integer from 1 to 16\n  \
///      mend:     set weight_bits = 8"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The work itself failed: exit code 1.
    Work(Box<Trouble>),
    /// Bad use or bad input: exit code 2.
    Use(Box<Trouble>),
}

/// The parts of an error text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The file that is wrong or that could not be read or written.
    pub file: Option<PathBuf>,
    /// The place in the file (a key, a line, a node), or the option of the command line.
    pub place: Option<String>,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What stands there.
    pub found: Option<String>,
    /// What should stand there.
    pub expected: Option<String>,
    /// What the user can do about it.
    pub mend: Option<String>,
}

impl Failure {
    /// The work failed although what the user gave is fine.
    pub fn work(what: impl fmt::Display) -> Self {
        Self::Work(Trouble::boxed(what))
    }

    /// A file or a value that the user gave is wrong.
    pub fn bad_input(what: impl fmt::Display) -> Self {
        Self::Use(Trouble::boxed(what))
    }

    /// An input file could not be opened or read: bad input.
    pub fn cannot_read(path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        let mend = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path; it is taken from the current folder",
            std::io::ErrorKind::PermissionDenied => "make the file readable",
            _ => "check that it is a readable file",
        };
        Self::bad_input(format_args!("cannot be read: {error}")).file(path).mend(mend)
    }

    /// An output file could not be written: the work failed.
    pub fn cannot_write(path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let mend = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => "free some space and run again",
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => "choose a folder that you may write to",
            _ => "check the path given to --out or -o",
        };
        Self::work(format_args!("cannot be written: {error}; nothing was left half-written"))
            .file(path)
            .mend(mend)
    }

    /// Names the file.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.trouble_mut().file = Some(path.as_ref().to_path_buf());
        self
    }

    /// Names the place in the file, or the option of the command line.
    #[must_use]
    pub fn place(mut self, place: impl fmt::Display) -> Self {
        self.trouble_mut().place = Some(place.to_string());
        self
    }

    /// Says what was found there.
    #[must_use]
    pub fn found(mut self, found: impl fmt::Display) -> Self {
        self.trouble_mut().found = Some(found.to_string());
        self
    }

    /// Says what was expected there.
    #[must_use]
    pub fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.trouble_mut().expected = Some(expected.to_string());
        self
    }

    /// Says what the user can do.
    #[must_use]
    pub fn mend(mut self, mend: impl fmt::Display) -> Self {
        self.trouble_mut().mend = Some(mend.to_string());
        self
    }

    /// 1 when the work failed, 2 for bad use or bad input.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Work(_) => 1,
            Self::Use(_) => 2,
        }
    }

    /// The parts of the text.
    pub fn trouble(&self) -> &Trouble {
        match self {
            Self::Work(trouble) | Self::Use(trouble) => trouble,
        }
    }

    fn trouble_mut(&mut self) -> &mut Trouble {
        match self {
            Self::Work(trouble) | Self::Use(trouble) => trouble,
        }
    }
}

impl Trouble {
    fn boxed(what: impl fmt::Display) -> Box<Self> {
        Box::new(Self { what: what.to_string(), ..Self::default() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trouble = self.trouble();
        if let Some(file) = &trouble.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(place) = &trouble.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&trouble.what)?;
        for (name, text) in
            [("found:   ", &trouble.found), ("expected:", &trouble.expected), ("mend:    ", &trouble.mend)]
        {
            if let Some(text) = text {
                write!(f, "\n  {name} {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

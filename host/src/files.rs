//! Reading inputs and writing outputs, with errors that name the file.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::Failure;

/// How names of files under way begin.
pub(crate) const TEMPORARY: &str = ".synop-";

/// Reads a whole input file.
///
/// # Errors
/// Bad input when the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::cannot_read(path, &error))
}

/// Reads a whole input file as UTF-8 text.
///
/// # Errors
/// Bad input when the file cannot be read or is not text.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|error| {
        Failure::bad_input("not a text file")
            .file(path)
            .place(format_args!("byte {}", error.utf8_error().valid_up_to()))
            .expected("UTF-8 text")
            .mend("check that this is the file you meant")
    })
}

/// Writes a file by way of `fill`, whole or not at all.
///
/// The bytes go to a temporary file beside `path`, which takes its name once it is
/// complete. Missing folders are made. A file that was there before survives a failure.
///
/// # Errors
/// The work failed: the folder cannot be made or written to, or the disk is full.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&mut fs::File>) -> io::Result<()>,
) -> Result<(), Failure> {
    crate::interrupt::whole(|| write_atomically(path, fill))
        .map_err(|error| Failure::cannot_write(path, &error))
}

/// Writes `bytes` to a file, whole or not at all; see [`write_with`].
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    write_with(path, |out| out.write_all(bytes.as_ref()))
}

/// Writes a value as indented JSON with a closing line end; see [`write_with`].
///
/// # Errors
/// As [`write_with`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    write_with(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&mut fs::File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut temporary = new_temporary(folder)?;
    let mut out = io::BufWriter::new(temporary.as_file_mut());
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Temporary files are private by default; results are ordinary files, as the umask says.
fn new_temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_writer_keeps_the_old_file_and_leaves_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/report.json");
        write(&path, "old").unwrap();
        let failure = write_with(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(failure.trouble().file.as_deref(), Some(path.as_path()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_where_a_folder_should_be_is_an_error_that_names_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let blocker = folder.path().join("file");
        write(&blocker, "x").unwrap();
        let failure = write(&blocker.join("report.json"), "y").unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.to_string().contains("report.json"));
    }

    #[test]
    fn reading_what_is_not_text_names_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        fs::write(&path, b"abc\xff").unwrap();
        let failure = read_text(&path).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert_eq!(failure.trouble().place.as_deref(), Some("byte 3"));
    }
}

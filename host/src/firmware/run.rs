//! A program in QEMU, never for longer than it is given.

use super::board::Board;
use super::build::last_lines;
use super::outcome::Said;
use crate::{Failure, files};
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time of one instruction in QEMU's virtual time: 2⁶ ns, so that a tick of the slowest timer that is read is
/// shorter than an instruction.
const SHIFT: &str = "shift=6";

/// Whether this machine has the program that plays a board.
pub fn has_emulator(board: &Board) -> bool {
    board.qemu.as_ref().is_some_and(|q| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|p| p.join(&q.program).is_file())
    })
}

/// Runs the firmware; `stream` is what the board reads, where it wants a stream.
///
/// # Errors
/// Bad use: QEMU is missing. The work failed: it did not end in time, locked up, or said something unknown. What
/// the board itself reports as an error is in [`Said::error`].
pub fn emulate(board: &Board, elf: &[u8], stream: &[u8], limit: Duration) -> Result<Said, Failure> {
    let ended = execute(board, elf, stream, limit)?;
    let said = Said::parse(&ended.output)?;
    if said.ended {
        return Ok(said);
    }
    Err(Failure::work(format_args!("{} stopped before its end", board.name))
        .found(format_args!("{}: {}", ended.status, ended.complaint))
        .mend("this is a defect of the firmware, or its stack was too small"))
}

/// How a program on a board ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// QEMU's status: the board's exit code.
    pub status: ExitStatus,
    /// What the board said.
    pub output: String,
    /// The last of what QEMU said.
    pub complaint: String,
}

/// Runs any program that ends by semihosting; in its folder stands `input.bin`.
///
/// # Errors
/// Bad use: QEMU is missing. The work failed: it did not end in time.
pub fn execute(board: &Board, elf: &[u8], stream: &[u8], limit: Duration) -> Result<Ended, Failure> {
    let qemu = board.qemu.as_ref().ok_or_else(|| {
        Failure::bad_input(format_args!("no emulator plays {}", board.name))
            .place("--board")
            .mend("write the program with --emit elf and flash it")
    })?;
    let folder = tempfile::tempdir().map_err(|e| Failure::cannot_write(std::env::temp_dir(), &e))?;
    files::write(&folder.path().join("synop.elf"), elf)?;
    files::write(&folder.path().join("input.bin"), stream)?;
    let mut command = Command::new(&qemu.program);
    command.current_dir(folder.path()).args(["-M", &qemu.machine]).args(&qemu.arguments);
    command.args(["-kernel", "synop.elf", "-icount", SHIFT, "-display", "none", "-monitor", "none"]);
    command.args(["-serial", "none", "-parallel", "none", "-semihosting-config", "enable=on,target=native"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|e| {
        Failure::bad_input(format_args!("{} cannot be started: {e}", qemu.program))
            .expected(format_args!("{} on the PATH", qemu.program))
            .mend("install QEMU's system emulators for Arm and RISC-V")
    })?;
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::work(format_args!("{} did not come to an end", board.name))
                    .found(format_args!("still running after {} s", limit.as_secs()))
                    .mend("give it more time with --timeout, or less input"));
            }
        }
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    let output = String::from_utf8_lossy(&out).into_owned();
    Ok(Ended { status, output, complaint: last_lines(&err, 3) })
}

/// Reads a pipe to its end, beside the waiting.
fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

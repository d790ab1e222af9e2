//! A program in QEMU, never for longer than it is given.

use super::board::Board;
use super::build::last_lines;
use super::outcome::Said;
use crate::{Failure, files};
use std::io::Read;
use std::process::{Command, Stdio};
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

/// Runs a program; `stream` is what the board reads, where it wants a stream.
///
/// # Errors
/// Bad use: QEMU is missing. The work failed: it did not end in time, locked up, or said something unknown. What
/// the board itself reports as an error is in [`Said::error`].
pub fn emulate(board: &Board, elf: &[u8], stream: &[u8], limit: Duration) -> Result<Said, Failure> {
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
    let said = Said::parse(&String::from_utf8_lossy(&out))?;
    if !said.ended {
        return Err(Failure::work(format_args!("{} stopped before its end", board.name))
            .found(format_args!("{status}: {}", last_lines(&err, 3)))
            .mend("this is a defect of the firmware, or its stack was too small"));
    }
    Ok(said)
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

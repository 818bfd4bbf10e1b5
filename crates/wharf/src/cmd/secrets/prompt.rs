//! Asks at the terminal for what nobody is to see.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Gives the terminal its echo back.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that went away needs none.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Asks `question` on the terminal and reads a line without echo.
///
/// Errors: there is no terminal, or its input has ended.
pub(super) fn hidden(question: &str) -> anyhow::Result<Zeroizing<String>> {
    let open = File::options().read(true).write(true).open("/dev/tty");
    let terminal = open.context("there is no terminal to ask at")?;
    let before = tcgetattr(&terminal).context("cannot silence the terminal")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    (&terminal).write_all(question.as_bytes())?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent).context("cannot silence the terminal")?;
    let _silent = Silent { terminal: &terminal, before };
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(&terminal).read_line(&mut line).context("cannot read from the terminal")?;
    anyhow::ensure!(read > 0, "nothing was entered");
    Ok(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

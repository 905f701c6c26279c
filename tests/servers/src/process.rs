//! Starting a server as the account that it insists on.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says whether this process is root, whom some servers refuse to run as.
fn is_root() -> bool {
    number(&["-u"]).is_some_and(|user| user == 0)
}

fn number(args: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(args).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Makes a command run as `account` and in `folder`, which becomes that account's own. An account
/// that is not root runs it itself.
pub(crate) fn as_account(command: &mut Command, account: &str, folder: &Path) -> io::Result<()> {
    command.current_dir(folder).stdin(Stdio::null());
    if !is_root() {
        return Ok(());
    }
    let (Some(user), Some(group)) = (number(&["-u", account]), number(&["-g", account])) else {
        let why = format!("there is no account {account}");
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    };
    std::os::unix::fs::chown(folder, Some(user), Some(group))?;
    command.uid(user).gid(group).env("HOME", folder);
    Ok(())
}

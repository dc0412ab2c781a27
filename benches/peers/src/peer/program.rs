//! How a program is started: it ends with this process, however that ends (`setpriv --pdeathsig`,
//! util-linux, sees to it), and its first line says where it listens (`testkit`).
//!
//! Lives here: the beginning of each command, and livehelp's flags. Not here: which programs
//! (`peer`), and those that say nothing (`backing`).

use std::process::{Command, Stdio};

/// livehelp on a free port, everything on as by default, with limits that a driver does not meet:
/// beside the kit's.
pub(super) const FLAGS: [&str; 8] = [
    "--connections-max=20000",
    // Nobody is given another agent's conversation while the members come in.
    "--agent-grace-ms=3600000",
    "--agent-capacity=100",
    "--hello-timeout-ms=60000",
    "--header-ms=60000",
    // The driver may be busy elsewhere for a while; nobody is to be sent away for that.
    "--pong-ms=60000",
    "--store-patience-ms=60000",
    "--offer-ms=600000",
];

/// Begins a command that ends with this process.
pub(super) fn with_this_process() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).stdin(Stdio::null());
    command
}

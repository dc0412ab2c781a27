//! ejabberd, out of Debian packages that were unpacked and not installed: started without the scripts that would look for
//! it where it is installed, and as a node without a name, so that no port mapper (`epmd`) starts beside it.
//!
//! Lives here: its settings and its environment. Not here: what is said to it (`dialect::xmpp`).

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use testkit::Owned;

use super::{answered, free_port, libraries, local, quiet};
use crate::dialect::xmpp::{HOST, PATH};
use crate::peer::program::with_this_process;

/// What its own script gives the Erlang machine: epoll, and room for more processes and sockets than a row has members.
const MACHINE: [&str; 4] = ["+K", "true", "+P", "250000"];
const MACHINE_PORTS_MAX: &str = "32000";

/// Where a package's `usr` is, by its script in `usr/sbin`.
fn top(script: &Path) -> &Path {
    script.ancestors().nth(2).unwrap_or(script)
}

/// The folder below this one whose name begins so, and of several the last.
fn below(folder: &Path, begin: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begin));
    named.map(|entry| entry.path()).max()
}

/// Where shared libraries lie: some packages of Debian 12 have theirs beside `usr` and not in it.
fn searched(script: &Path) -> Result<OsString> {
    let within = libraries(script);
    let beside = top(script).parent().zip(within.strip_prefix(top(script)).ok());
    let beside = beside.map(|(above, below)| above.join(below));
    Ok(std::env::join_paths(beside.into_iter().chain([within]))?)
}

/// By the folder that it is in, because it says its version only while it runs.
pub(in crate::peer) fn version(script: &Path) -> Option<String> {
    let folder = below(&libraries(script), "ejabberd-")?;
    Some(folder.file_name()?.to_string_lossy().into_owned())
}

/// Guests only, nothing stored, and rooms that take as many as a row has: who is there is not announced in them, which
/// would be a message to everybody for each who comes in.
fn settings(port: u16) -> String {
    format!(
        "hosts: [{HOST}]\n\
         loglevel: warning\n\
         auth_method: [anonymous]\n\
         anonymous_protocol: sasl_anon\n\
         websocket_timeout: 1 hour\n\
         listen:\n\
         - port: {port}\n  \
           ip: 127.0.0.1\n  \
           module: ejabberd_http\n  \
           backlog: 1024\n  \
           request_handlers:\n    \
             {PATH}: ejabberd_http_ws\n\
         modules:\n  \
           mod_muc:\n    \
             host: rooms.{HOST}\n    \
             history_size: 0\n    \
             max_users: 20000\n    \
             default_room_options:\n      \
               max_users: 20000\n      \
               presence_broadcast: []\n"
    )
}

/// ejabberd, with what it writes in this folder.
pub(in crate::peer) fn ejabberd(script: &Path, folder: &Path) -> Result<(Owned, SocketAddr)> {
    // Erlang takes no other.
    let script = &std::path::absolute(script).context("find ejabberd")?;
    let erlang = top(script).join("lib/erlang");
    let programs = below(&erlang, "erts-").context("there is no Erlang beside ejabberd")?;
    let programs = programs.join("bin");
    let port = free_port()?;
    let (path, log) = (folder.join("ejabberd.yml"), folder.join("log.txt"));
    fs::write(&path, settings(port)).context("write ejabberd's settings")?;
    let mut command = with_this_process();
    command.arg(programs.join("erlexec")).args(MACHINE).arg("-noinput");
    // An Erlang term: the quotes are part of it.
    command.args(["-mnesia", "dir"]).arg(format!("{:?}", folder.join("spool")));
    command.args(["-s", "ejabberd"]);
    command.env("ROOTDIR", &erlang).env("BINDIR", programs);
    command.env("EMU", "beam").env("PROGNAME", "erl").env("HOME", folder);
    command.env("ERL_LIBS", libraries(script));
    command.env("LD_LIBRARY_PATH", searched(script).context("name ejabberd's libraries")?);
    command.env("ERL_MAX_PORTS", MACHINE_PORTS_MAX);
    command.env("ERL_CRASH_DUMP", folder.join("crash.dump"));
    command.env("EJABBERD_CONFIG_PATH", path);
    command.env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"));
    quiet(&mut command, &log)?;
    let mut child = Owned(command.spawn().context("start ejabberd")?);
    answered(&mut child, port, &log)?;
    Ok((child, local(port)))
}

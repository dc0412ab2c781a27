//! The operator's commands as clap knows them: things, acts, and what is given with each.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use super::Shape;
use crate::auth::Scope;

pub(super) fn required(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).required(true).help(help)
}

pub(super) fn behind(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).required(true).help(help)
}

/// Clap requires nothing that floats: `refuse_floating` misses it.
pub(super) fn tenant(shape: Shape) -> Arg {
    let tenant = Arg::new("tenant").long("tenant").value_name("TENANT_ID");
    match shape {
        Shape::Whole => tenant.global(true).help("The Organization, ten_…; required"),
        Shape::Shown => tenant.required(true).help("The Organization, ten_…"),
    }
}

pub(super) fn tenant_behind() -> Arg {
    behind("tenant_id", "TENANT_ID", "The Organization, ten_…")
}

pub(super) fn site_behind() -> Arg {
    behind("site", "SITE_ID", "The site, sit_…")
}

pub(super) fn plan() -> Arg {
    Arg::new("plan")
        .value_name("PLAN")
        .value_parser(["free", "team", "business", "enterprise"])
        .help("Its plan")
}

pub(super) fn role() -> Arg {
    Arg::new("role")
        .long("role")
        .value_name("ROLE")
        .value_parser(["agent", "supervisor", "admin"])
        .default_value("admin")
        .help("What they may do")
}

pub(super) fn today() -> Arg {
    behind("today", "DATE", "The day that it really is, UTC, such as 2026-11-24")
}

pub(super) fn paged(command: Command, hide: bool) -> Command {
    let limit = Arg::new("limit")
        .long("limit")
        .value_name("NUMBER")
        .value_parser(clap::value_parser!(u16))
        .help("Items of a page, 1 to 100 [default: 50]");
    let cursor = Arg::new("cursor")
        .long("cursor")
        .value_name("CURSOR")
        .help("`next_cursor` of the page before");
    [limit, cursor]
        .into_iter()
        .fold(command, |command, arg| command.arg(arg.global(true).hide(hide)))
}

/// A thing of which there are lists: without an act, it is listed.
pub(super) fn listed(command: Command, shape: Shape) -> Command {
    match shape {
        Shape::Whole => paged(command, true),
        Shape::Shown => command.subcommand_required(true),
    }
}

pub(super) fn tenants(shape: Shape) -> Command {
    listed(Command::new("tenants").about("Organizations"), shape)
        .subcommand(paged(Command::new("list").about("Lists Organizations"), false))
        .subcommand(Command::new("show").about("Shows an Organization").arg(tenant_behind()))
        .subcommand(new_tenant(Command::new("create")))
}

pub(super) fn new_tenant(command: Command) -> Command {
    command.about("Makes an Organization").arg(required("name", "NAME", "Its name")).arg(required(
        "privacy-contact",
        "CONTACT",
        "Where people ask about their data: an address or a page",
    ))
}

pub(super) fn sites(shape: Shape) -> Command {
    let act = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(site_behind())
    };
    listed(Command::new("sites").about("Websites of Organizations"), shape)
        .subcommand(
            paged(Command::new("list").about("Lists an Organization's sites"), false)
                .arg(tenant(shape)),
        )
        .subcommand(act("show", "Shows a site"))
        .subcommand(new_site(Command::new("create"), shape))
        .subcommand(act("set-plan", "Sets a site's plan").arg(plan().required(true)))
        .subcommand(act("close", "Closes a site"))
        .subcommand(act("reopen", "Opens a closed site again"))
}

pub(super) fn new_site(command: Command, shape: Shape) -> Command {
    command
        .about("Makes a site")
        .arg(tenant(shape))
        .arg(required("name", "NAME", "Its name"))
        .arg(
            required("origin", "ORIGIN", "Origin that may embed the widget; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(plan().long("plan").default_value("free"))
}

pub(super) fn invitations(shape: Shape) -> Command {
    Command::new("invitations")
        .about("Invitations of agents")
        .subcommand_required(true)
        .subcommand(new_invitation(Command::new("create"), shape))
}

pub(super) fn new_invitation(command: Command, shape: Shape) -> Command {
    command
        .about("Invites an agent; the link is in the answer, once")
        .arg(tenant(shape))
        .arg(required("email", "ADDRESS", "Their e-mail address"))
        .arg(role())
}

pub(super) fn password_resets(shape: Shape) -> Command {
    Command::new("password-resets")
        .about("Ways back for agents who forgot their password")
        .subcommand_required(true)
        .subcommand(new_password_reset(Command::new("create"), shape))
}

pub(super) fn new_password_reset(command: Command, shape: Shape) -> Command {
    command
        .about("Makes a link by which an agent who forgot their password sets a new one; the link is in the answer, once")
        .arg(tenant(shape))
        .arg(required("email", "ADDRESS", "The agent's e-mail address"))
}

pub(super) fn keys(shape: Shape) -> Command {
    Command::new("keys")
        .about("Operator keys")
        .subcommand_required(shape == Shape::Shown)
        .subcommand(Command::new("list").about("Lists operator keys, without their texts"))
        .subcommand(
            Command::new("create")
                .about("Makes an operator key; its text is in the answer, once")
                .arg(required("name", "NAME", "What it is for"))
                .arg(
                    required("scope", "SCOPE", "What it may do; may be repeated")
                        .action(ArgAction::Append)
                        .value_parser(PossibleValuesParser::new(
                            Scope::OPERATOR.iter().map(|scope| scope.word()),
                        )),
                ),
        )
        .subcommand(
            Command::new("delete")
                .about("Deletes an operator key: it opens nothing from then on")
                .arg(behind("key", "KEY_ID", "The key, key_…")),
        )
}

pub(super) fn clock() -> Command {
    Command::new("clock")
        .about("The server's clock, and how far it is trusted")
        .subcommand(Command::new("show").about("Shows the clock and how far it is trusted"))
        .subcommand(
            Command::new("confirm")
                .about("Confirms a clock that nothing explains, so that sweeps go on by it")
                .arg(today()),
        )
        .subcommand(
            Command::new("lower-mark")
                .about("Puts a latest trusted time that a clock in the future set back to the clock's; refused once something was destroyed by it")
                .arg(today()),
        )
}

/// The spellings of before.
pub(super) fn former(command: Command) -> Command {
    let site = |name: &'static str| Command::new(name).arg(site_behind());
    [
        Command::new("tenant").about("Shows an Organization"),
        new_tenant(Command::new("create-tenant")),
        site("site").about("Shows a site"),
        new_site(Command::new("create-site"), Shape::Whole),
        site("plan").about("Sets a site's plan").arg(plan().required(true)),
        site("close").about("Closes a site"),
        site("reopen").about("Opens a closed site again"),
        new_invitation(Command::new("invite"), Shape::Whole),
        new_password_reset(Command::new("reset-password"), Shape::Whole),
        Command::new("confirm-clock").about("Confirms the clock").arg(today()),
        Command::new("lower-clock-mark").about("Lowers the clock's mark").arg(today()),
    ]
    .into_iter()
    .fold(command, |command, old| command.subcommand(old.hide(true)))
}

//! People who come into a livehelp that began empty, as they would: over REST and by the socket.
//!
//! Lives here: the Organization, its agents, and each visitor's conversation with one of them. Not here: people who are
//! written into a folder before the start (`furnish`), and what any of them does in a run (`work`).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use furnish::{Names, SUPERVISORS, World, conversation_id};
use loadtest::rest::Rest;
use loadtest::setup::{self, Account, Grounds, Staff};
use loadtest::socket::{Incoming, Socket, Target};
use protocol::codec::{Encoding, decode_server};
use protocol::conversation::Availability;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::SiteKey;
use protocol::limits::List;
use rustls::ClientConfig;

use crate::dialect::livehelp::{SOCKET, hello, written};

/// Where the server is met.
#[derive(Debug)]
pub(super) struct Endpoints<'a> {
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    /// Where its public listener speaks TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The origin of its own pages.
    pub(super) console: String,
    /// The folder in which it left the operator's key.
    pub(super) keys: &'a Path,
}

/// Lets this world's people in; each has gone again when it returns, and comes back with what they were given.
///
/// # Errors
/// If the server refuses somebody.
pub(super) fn let_in(endpoints: &Endpoints<'_>, world: World) -> Result<Names> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(come(endpoints, world))
}

async fn come(endpoints: &Endpoints<'_>, world: World) -> Result<Names> {
    let mut names = organization(endpoints, world).await.context("make an Organization")?;
    let mut agents = Vec::new();
    for cookie in &names.agents {
        let mut agent = Caller::connect(endpoints, &names, Some(cookie)).await?;
        let availability = Availability::Available;
        let take = |request| ClientFrame::Availability { request, availability, capacity: None };
        agent.ask(take).await.context("an agent could not become available")?;
        agents.push(agent);
    }
    for room in 0..world.rooms + world.alone {
        let mut visitor = Caller::connect(endpoints, &names, None).await?;
        names.tokens.push(visitor.token.take().context("a visitor got no token")?);
        if room >= world.rooms {
            continue;
        }
        let conversation = conversation_id(room);
        let form = List::default();
        let open =
            |request| ClientFrame::Open { request, conversation, form, notice: None, page: None };
        visitor.ask(open).await.context("a visitor could not open a conversation")?;
        let turn = room % agents.len();
        let agent = agents.get_mut(turn).context("there is no agent")?;
        let take = |request| ClientFrame::Assign { request, conversation };
        agent.ask(take).await.context("an agent could not take a conversation")?;
        names.conversations.push(conversation);
    }
    Ok(names)
}

async fn organization(endpoints: &Endpoints<'_>, world: World) -> Result<Names> {
    let key = fs::read_to_string(endpoints.keys.join("operator-key")).context("read its key")?;
    let origin = || endpoints.console.clone();
    let public = Rest { address: endpoints.public, tls: endpoints.tls.clone(), origin: origin() };
    let admin = Rest { address: endpoints.admin, tls: None, origin: origin() };
    let agents = u32::try_from(world.agents())?;
    let staff = Staff { agents, supervisors: u32::try_from(SUPERVISORS)?, bots: 0 };
    let Grounds { site_key, agents, supervisors, .. } =
        setup::furnish(&public, &admin, key.trim(), 0, staff).await?;
    let cookies = |accounts: Vec<Account>| accounts.into_iter().map(|one| one.cookie).collect();
    Ok(Names {
        site_key: SiteKey::parse(&site_key).context("a site key of another form")?,
        page: setup::ORIGIN.to_owned(),
        console: origin(),
        conversations: Vec::new(),
        tokens: Vec::new(),
        agents: cookies(agents),
        supervisors: cookies(supervisors),
    })
}

/// One who has been welcomed.
struct Caller {
    socket: Socket,
    request: u32,
    /// A visitor's, by which they come back.
    token: Option<String>,
}

impl Caller {
    async fn connect(
        endpoints: &Endpoints<'_>,
        names: &Names,
        cookie: Option<&str>,
    ) -> Result<Self> {
        let origin = if cookie.is_some() { &names.console } else { &names.page };
        let mut headers = vec![(String::from("origin"), origin.clone())];
        headers.extend(cookie.map(|cookie| (String::from("cookie"), cookie.to_owned())));
        let target = Target {
            address: endpoints.public,
            path: SOCKET.to_owned(),
            subprotocol: Some(Encoding::Msgpack.subprotocol()),
            headers,
            source: None,
            tls: endpoints.tls.clone(),
        };
        let socket = Socket::connect(&target).await?;
        let mut caller = Self { socket, request: 1, token: None };
        let site = cookie.is_none().then(|| names.site_key.clone());
        caller.socket.send(written(&hello(site, None)).into()).await?;
        let bytes = caller.next().await?;
        let Ok(ServerFrame::Welcome { token, .. }) = decode_server(Encoding::Msgpack, &bytes)
        else {
            bail!("livehelp does not answer a hello with a welcome");
        };
        caller.token = token.map(|token| token.into_exposed());
        Ok(caller)
    }

    /// Asks, and waits until what was asked is done.
    async fn ask(&mut self, frame: impl FnOnce(RequestId) -> ClientFrame<'static>) -> Result<()> {
        self.request += 1;
        let asked = RequestId(self.request);
        self.socket.send(written(&frame(asked)).into()).await?;
        loop {
            let bytes = self.next().await?;
            match decode_server(Encoding::Msgpack, &bytes) {
                Ok(ServerFrame::Ack { request, .. }) if request == asked => return Ok(()),
                Ok(ServerFrame::Reject { code, words, .. }) => {
                    bail!("livehelp refused it ({}): {words}", code.word());
                }
                // Of what goes on around them they need know nothing.
                Ok(_) => {}
                Err(_) => bail!("livehelp sent something that is no frame"),
            }
        }
    }

    async fn next(&mut self) -> Result<Vec<u8>> {
        match self.socket.next().await? {
            Incoming::Binary(bytes) => Ok(bytes.to_vec()),
            Incoming::Text(_) => bail!("livehelp sent text"),
        }
    }
}

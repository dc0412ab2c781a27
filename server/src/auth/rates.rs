//! Who may do what how often: people by all of their connections and requests together, programs by
//! their keys, strangers by their addresses.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::ids::{AgentId, KeyId, VisitorId};
use protocol::personal::Personal;
use tokio::sync::watch;

use super::brake::{Brake, BrakeConfig};
use super::limit::{Allowance, Limit, Pace, Paces};
use crate::clock::Clock;
use crate::network::network;

/// Between two looks at what is remembered for nothing.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// What is allowed, as the settings say.
#[derive(Debug, Clone, Copy)]
pub struct RatesConfig {
    /// Messages of one visitor.
    pub visitor_messages: Allowance,
    /// Messages of one agent.
    pub agent_messages: Allowance,
    /// Frames of one connection.
    pub frames: Allowance,
    /// Questions of one person over all of their connections: what asks the store.
    pub questions: Allowance,
    /// Requests of one signed-in agent.
    pub agents: Allowance,
    /// Requests with one API key.
    pub keys: Allowance,
    /// Requests from one network that prove nobody.
    pub addresses: Allowance,
    /// Wrong passwords.
    pub logins: BrakeConfig,
}

/// The rate limits of one server.
#[derive(Debug)]
pub struct Rates {
    /// Messages of visitors, over the socket.
    pub visitor_messages: Limit<VisitorId>,
    /// Messages of agents, over the socket and over REST.
    pub agent_messages: Limit<AgentId>,
    /// Frames of each connection.
    pub frames: Limit<Pace, Paces>,
    /// Questions, over all of a person's connections.
    pub visitor_questions: Limit<VisitorId>,
    pub agent_questions: Limit<AgentId>,
    /// REST, by who asks.
    pub agents: Limit<AgentId>,
    pub keys: Limit<KeyId>,
    addresses: Limit<Personal<IpAddr>>,
    /// Signing in.
    pub logins: Brake,
}

impl Rates {
    /// Nobody came yet.
    pub fn new(config: &RatesConfig, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let own = || Arc::clone(clock);
        Arc::new(Self {
            visitor_messages: Limit::new(config.visitor_messages, own()),
            agent_messages: Limit::new(config.agent_messages, own()),
            frames: Limit::new(config.frames, own()),
            visitor_questions: Limit::new(config.questions, own()),
            agent_questions: Limit::new(config.questions, own()),
            agents: Limit::new(config.agents, own()),
            keys: Limit::new(config.keys, own()),
            addresses: Limit::new(config.addresses, own()),
            logins: Brake::new(config.logins, clock),
        })
    }

    /// Allows this from now on.
    pub fn set(&self, config: &RatesConfig) {
        self.visitor_messages.set(config.visitor_messages);
        self.agent_messages.set(config.agent_messages);
        self.frames.set(config.frames);
        self.visitor_questions.set(config.questions);
        self.agent_questions.set(config.questions);
        self.agents.set(config.agents);
        self.keys.set(config.keys);
        self.addresses.set(config.addresses);
        self.logins.set(config.logins);
    }

    /// Counts a request from an address that proves nobody.
    ///
    /// # Errors
    /// With the time to wait, if there were too many.
    pub fn stranger(&self, address: IpAddr) -> Result<super::Left, super::Wait> {
        self.addresses.take(&Personal::new(network(address)))
    }

    /// Forgets, from time to time, whoever has all of their allowance again.
    pub async fn tidied(self: Arc<Self>, mut ended: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = ended.wait_for(|ended| *ended) => return,
            }
            self.visitor_messages.tidy();
            self.agent_messages.tidy();
            self.visitor_questions.tidy();
            self.agent_questions.tidy();
            self.agents.tidy();
            self.keys.tidy();
            self.addresses.tidy();
            self.logins.tidy();
        }
    }
}

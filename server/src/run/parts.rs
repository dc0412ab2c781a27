//! The settings as each part of the server takes them.

use std::sync::Arc;

use crate::api::ApiConfig;
use crate::auth::{Allowance, BrakeConfig, Devices, Rates, RatesConfig};
use crate::config::Config;
use crate::gateway::GatewayConfig;
use crate::hub::HubConfig;
use crate::origin::PublicUrl;
use crate::routing::RoutingConfig;

pub(super) fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        routing: RoutingConfig {
            offer_ms: config.offer_ms,
            grace_ms: config.agent_grace_ms,
            ..RoutingConfig::default()
        },
        visitor_grace_ms: VISITOR_GRACE_MS,
        conversations_per_visitor_max: config.conversations_per_visitor_max,
        conversations_per_ip_hour_max: config.conversations_per_ip_hour_max,
        abandoned_ms: (config.abandoned_hours > 0).then(|| config.abandoned_hours * HOUR_MS),
    }
}

/// How long a visitor whose connection broke counts as there: a reload or a tunnel.
const VISITOR_GRACE_MS: u64 = 20_000;

const HOUR_MS: u64 = 60 * 60 * 1000;

const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) fn rates_config(config: &Config) -> RatesConfig {
    let messages = |times| Allowance::a_minute(times, config.messages_burst);
    let frames =
        Allowance { burst: config.frames_burst, times: config.frames_per_second, window_ms: 1_000 };
    RatesConfig {
        visitor_messages: messages(config.messages_per_minute),
        agent_messages: messages(config.agent_messages_per_minute),
        frames,
        // A person has a few windows, which all come back at once after a break.
        questions: Allowance { burst: 3 * frames.burst, times: 3 * frames.times, ..frames },
        agents: Allowance::a_minute(config.requests_per_minute, config.requests_burst),
        keys: Allowance::a_minute(config.key_requests_per_minute, config.key_requests_burst),
        addresses: Allowance::a_minute(
            config.address_requests_per_minute,
            config.address_requests_burst,
        ),
        logins: BrakeConfig {
            per_account_max: config.logins_per_account_max,
            strangers_max: config.logins_per_account_strangers_max,
            per_address_max: config.logins_per_ip_max,
            window_ms: config.login_window_ms,
        },
    }
}

pub(super) fn api_config(
    config: &Config,
    public_url: &PublicUrl,
    rates: &Arc<Rates>,
    devices: Devices,
) -> ApiConfig {
    ApiConfig {
        public_url: public_url.clone(),
        session_ms: config.session_days * DAY_MS,
        agent_capacity: config.agent_capacity,
        rates: Arc::clone(rates),
        devices,
    }
}

pub(super) fn gateway_config(
    config: &Config,
    public_url: &PublicUrl,
    rates: &Arc<Rates>,
) -> GatewayConfig {
    GatewayConfig {
        heartbeat_visitor_ms: config.heartbeat_visitor_ms,
        heartbeat_agent_ms: config.heartbeat_agent_ms,
        pong_ms: config.pong_ms,
        visitor_token_ms: config.visitor_token_days * DAY_MS,
        hello_timeout_ms: config.hello_timeout_ms,
        outbox_bytes_max: config.outbox_bytes_max,
        outbox_frames_max: config.outbox_frames_max,
        rates: Arc::clone(rates),
        connections_max: config.connections_max,
        public_url: public_url.clone(),
    }
}

//! What the parts of the hub are made with.

use std::sync::Arc;

use super::times::Times;
use crate::bus::Bus;
use crate::metrics::Metrics;
use crate::store::Store;

/// What lies below the hub. Each part takes of it what it needs.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) times: Arc<Times>,
    pub(super) metrics: Arc<Metrics>,
}

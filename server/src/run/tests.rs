use super::*;
use crate::bus::redis::tests::{Redis, until};
use crate::clock::SystemClock;

#[tokio::test]
async fn a_bus_that_is_away_is_not_up() {
    let redis = Redis::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(&folder.path().join("keys"), &folder.path().join("data"), None);
    let (config, keys) = (redis.config(), Arc::new(keys.unwrap()));
    let bus = RedisBus::connect(&config, keys, Arc::new(SystemClock)).await;
    let (bus, _heard) = bus.unwrap();
    let (metrics, (end, ended)) = (Metrics::new(), watch::channel(false));
    assert_eq!(metrics.bus_up.get(), 0);
    let watching = tasks::spawn("test", watch_bus(Arc::new(bus), Arc::clone(&metrics), ended));
    until(|| metrics.bus_up.get() == 1).await;
    drop(redis);
    until(|| metrics.bus_up.get() == 0).await;
    end.send_replace(true);
    watching.await.unwrap();
}

#[test]
fn a_grace_is_for_those_who_can_go_elsewhere() {
    let mut config = Config::defaults();
    assert_eq!(grace(&config), Duration::ZERO);
    config.bus = BusSetting::Redis("redis://127.0.0.1".to_owned());
    assert_eq!(grace(&config), Duration::from_secs(5));
    config.drain_grace = DrainGrace::Never;
    assert_eq!(grace(&config), Duration::ZERO);
    (config.bus, config.drain_grace) = (BusSetting::Memory, DrainGrace::Always);
    assert_eq!(grace(&config), Duration::from_secs(5));
}

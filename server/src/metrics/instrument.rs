//! Counters, gauges and histograms with labels resolved beforehand.

use std::marker::PhantomData;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::label::{Label, Listener};

/// A kind of metric that [`super::Metrics`] can declare.
pub(super) trait Instrument: Sized {
    const KIND: &'static str;
    const BUCKETS: &'static [f64] = &[];
    fn new(name: &str, help: &str, labels: &[&'static str], registry: &Registry) -> Self;
    fn labels(_: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
        Vec::new()
    }
}

#[expect(clippy::expect_used, reason = "a test declares them all")]
fn registered<C: Collector + Clone + 'static>(
    made: prometheus::Result<C>,
    registry: &Registry,
) -> C {
    let made = made.expect("the declaration is a valid metric");
    registry.register(Box::new(made.clone())).expect("each name is declared once");
    made
}

/// Counts up.
#[derive(Debug)]
pub struct Counter(IntCounter);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// Some more.
    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    /// So far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Instrument for Counter {
    const KIND: &'static str = "counter";
    fn new(name: &str, help: &str, _: &[&'static str], registry: &Registry) -> Self {
        Self(registered(IntCounter::new(name, help), registry))
    }
}

/// Adds up time.
#[derive(Debug)]
pub struct SecondsCounter(prometheus::Counter);

impl SecondsCounter {
    /// That much more.
    pub fn add(&self, time: Duration) {
        self.0.inc_by(time.as_secs_f64());
    }

    /// So far.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

impl Instrument for SecondsCounter {
    const KIND: &'static str = "counter";
    fn new(name: &str, help: &str, _: &[&'static str], registry: &Registry) -> Self {
        Self(registered(prometheus::Counter::new(name, help), registry))
    }
}

/// Goes up and down.
#[derive(Debug)]
pub struct Gauge(IntGauge);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// One less.
    pub fn dec(&self) {
        self.0.dec();
    }

    /// More, or less.
    pub fn add(&self, by: i64) {
        self.0.add(by);
    }

    /// That much.
    pub fn set(&self, to: i64) {
        self.0.set(to);
    }

    /// Now.
    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

impl Instrument for Gauge {
    const KIND: &'static str = "gauge";
    fn new(name: &str, help: &str, _: &[&'static str], registry: &Registry) -> Self {
        Self(registered(IntGauge::new(name, help), registry))
    }
}

macro_rules! families {
    ($($(#[doc = $doc:literal])* $one:ident, $two:ident of $item:ident, $vec:ident, $kind:literal;)+) => { $(
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub struct $one<A>(Box<[$item]>, PhantomData<A>);

        impl<A: Label> $one<A> {
            /// The one of this label.
            #[expect(clippy::indexing_slicing, reason = "made with one for each label value")]
            pub fn of(&self, a: A) -> &$item {
                &self.0[a.index()]
            }
        }

        impl<A: Label> Instrument for $one<A> {
            const KIND: &'static str = $kind;
            fn new(name: &str, help: &str, labels: &[&'static str], registry: &Registry) -> Self {
                let family = registered($vec::new(Opts::new(name, help), labels), registry);
                let all = A::words().into_iter().map(|a| $item(family.with_label_values(&[a])));
                Self(all.collect(), PhantomData)
            }
            fn labels(names: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
                names.iter().copied().zip([A::words()]).collect()
            }
        }

        /// The same with two labels.
        #[derive(Debug)]
        pub struct $two<A, B>(Box<[$item]>, usize, PhantomData<(A, B)>);

        impl<A: Label, B: Label> $two<A, B> {
            /// The one of these labels.
            #[expect(clippy::indexing_slicing, reason = "made with one for each pair of values")]
            pub fn of(&self, a: A, b: B) -> &$item {
                &self.0[a.index() * self.1 + b.index()]
            }
        }

        impl<A: Label, B: Label> Instrument for $two<A, B> {
            const KIND: &'static str = $kind;
            fn new(name: &str, help: &str, labels: &[&'static str], registry: &Registry) -> Self {
                let family = registered($vec::new(Opts::new(name, help), labels), registry);
                let all = A::words().into_iter().flat_map(|a| {
                    let family = &family;
                    B::words().into_iter().map(move |b| $item(family.with_label_values(&[a, b])))
                });
                Self(all.collect(), B::words().len(), PhantomData)
            }
            fn labels(names: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
                names.iter().copied().zip([A::words(), B::words()]).collect()
            }
        }
    )+ };
}

families! {
    /// Counters by label.
    Counters, Counters2 of Counter, IntCounterVec, "counter";
    /// Gauges by label.
    Gauges, Gauges2 of Gauge, IntGaugeVec, "gauge";
}

/// What a histogram measures, and the bounds of its buckets.
pub(super) trait Unit: std::fmt::Debug + Send + Sync + 'static {
    /// Upper bounds.
    const BUCKETS: &'static [f64];
}

/// Work of a machine; a bound at each limit that is promised (0.05, 0.25 and 0.5 s).
#[derive(Debug)]
pub struct Seconds;
impl Unit for Seconds {
    const BUCKETS: &'static [f64] =
        &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
}

/// Waits of people, up to a working day.
#[derive(Debug)]
pub struct Long;
impl Unit for Long {
    const BUCKETS: &'static [f64] = &[
        1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0,
        28_800.0,
    ];
}

/// Answers to requests, of which there is one family for each route: a third of the bounds of
/// [`Seconds`].
#[derive(Debug)]
pub(super) struct Answers;
impl Unit for Answers {
    const BUCKETS: &'static [f64] = &[0.005, 0.025, 0.1, 0.5, 2.5];
}

/// Sizes of texts.
#[derive(Debug)]
pub struct Bytes;
impl Unit for Bytes {
    const BUCKETS: &'static [f64] = &[16.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0, 16_384.0];
}

/// How many.
#[derive(Debug)]
pub struct Count;
impl Unit for Count {
    const BUCKETS: &'static [f64] =
        &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
}

/// How often a value fell below each bound.
#[derive(Debug)]
pub struct Histogram<U>(prometheus::Histogram, PhantomData<U>);

impl Histogram<Seconds> {
    /// One more.
    pub fn observe(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

impl Histogram<Long> {
    /// One more.
    pub fn observe(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

impl Histogram<Bytes> {
    /// One more.
    pub fn observe(&self, bytes: usize) {
        self.0.observe(float(bytes));
    }
}

impl Histogram<Count> {
    /// One more.
    pub fn observe(&self, count: usize) {
        self.0.observe(float(count));
    }
}

impl<U> Histogram<U> {
    /// Values seen so far.
    pub fn count(&self) -> u64 {
        self.0.get_sample_count()
    }
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

fn histograms<U: Unit>(
    name: &str,
    help: &str,
    labels: &[&'static str],
    registry: &Registry,
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(U::BUCKETS.to_vec());
    registered(HistogramVec::new(options, labels), registry)
}

impl<U: Unit> Instrument for Histogram<U> {
    const KIND: &'static str = "histogram";
    const BUCKETS: &'static [f64] = U::BUCKETS;
    fn new(name: &str, help: &str, _: &[&'static str], registry: &Registry) -> Self {
        Self(histograms::<U>(name, help, &[], registry).with_label_values::<&str>(&[]), PhantomData)
    }
}

/// Histograms by label.
#[derive(Debug)]
pub struct Histograms<A, U>(Box<[Histogram<U>]>, PhantomData<A>);

impl<A: Label, U> Histograms<A, U> {
    /// The one of this label.
    #[expect(clippy::indexing_slicing, reason = "made with one for each label value")]
    pub fn of(&self, a: A) -> &Histogram<U> {
        &self.0[a.index()]
    }
}

impl<A: Label, U: Unit> Instrument for Histograms<A, U> {
    const KIND: &'static str = "histogram";
    const BUCKETS: &'static [f64] = U::BUCKETS;
    fn new(name: &str, help: &str, labels: &[&'static str], registry: &Registry) -> Self {
        let family = histograms::<U>(name, help, labels, registry);
        let all =
            A::words().into_iter().map(|a| Histogram(family.with_label_values(&[a]), PhantomData));
        Self(all.collect(), PhantomData)
    }
    fn labels(names: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
        names.iter().copied().zip([A::words()]).collect()
    }
}

/// Answers by listener, route template, method and status; the routers bound the templates.
#[derive(Debug)]
pub struct Routes(IntCounterVec);

impl Routes {
    /// One more answer. Methods and codes come from fixed lists.
    pub fn inc(&self, listener: Listener, route: &str, method: &'static str, code: u16) {
        self.0.with_label_values(&[listener.word(), route, method, &code.to_string()]).inc();
    }
}

impl Instrument for Routes {
    const KIND: &'static str = "counter";
    fn new(name: &str, help: &str, labels: &[&'static str], registry: &Registry) -> Self {
        Self(registered(IntCounterVec::new(Opts::new(name, help), labels), registry))
    }
    fn labels(names: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
        of_routes(names)
    }
}

/// Times by listener and route template.
#[derive(Debug)]
pub struct RouteTimes(HistogramVec);

impl RouteTimes {
    /// One more answer.
    pub fn observe(&self, listener: Listener, route: &str, time: Duration) {
        self.0.with_label_values(&[listener.word(), route]).observe(time.as_secs_f64());
    }
}

impl Instrument for RouteTimes {
    const KIND: &'static str = "histogram";
    const BUCKETS: &'static [f64] = Answers::BUCKETS;
    fn new(name: &str, help: &str, labels: &[&'static str], registry: &Registry) -> Self {
        Self(histograms::<Answers>(name, help, labels, registry))
    }
    fn labels(names: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
        of_routes(names)
    }
}

/// No value is listed, that of a listener neither: each appears with its first request.
fn of_routes(names: &[&'static str]) -> Vec<(&'static str, Vec<&'static str>)> {
    names.iter().map(|name| (*name, Vec::new())).collect()
}

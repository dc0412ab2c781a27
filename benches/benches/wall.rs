//! Wall time by criterion: the port of the cases to it. A part of every bench.

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use livehelp_benches::meter::{Case, Meter, Thread};

pub(crate) struct Wall<'c>(BenchmarkGroup<'c, WallTime>);

impl<'c> Wall<'c> {
    pub(crate) fn of(criterion: &'c mut Criterion, group: &str) -> Self {
        Self(criterion.benchmark_group(group))
    }
}

impl Meter for Wall<'_> {
    fn repeat<A: FnMut()>(&mut self, case: Case, make: impl FnOnce() -> A) {
        self.0.throughput(Throughput::Elements(u64::from(case.each)));
        let mut make = Some(make);
        let mut act = None;
        self.0.bench_function(case.name, |bencher| {
            act = act.take().or_else(|| Some(make.take()?()));
            if let Some(act) = &mut act {
                bencher.iter(act);
            }
        });
    }

    fn consume<I, P, A>(&mut self, case: Case, make: impl FnOnce() -> (P, A))
    where
        P: FnMut() -> I,
        A: FnMut(I),
    {
        self.0.throughput(Throughput::Elements(u64::from(case.each)));
        let mut make = Some(make);
        let mut made = None;
        self.0.bench_function(case.name, |bencher| {
            made = made.take().or_else(|| Some(make.take()?()));
            if let Some((prepare, act)) = &mut made {
                let size = match case.thread {
                    Thread::Own => BatchSize::SmallInput,
                    // What is prepared holds the writer.
                    Thread::Writer => BatchSize::PerIteration,
                };
                bencher.iter_batched(prepare, act, size);
            }
        });
    }
}

//! Wall time of every case, by criterion: `cargo bench -p livehelp-benches -- seal`.
//!
//! Lives here: the port of the cases to criterion. Not here: the cases, one module of the library for each group.

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use livehelp_benches::meter::{Case, Meter, Thread};
use livehelp_benches::{codec, fanout, gate, ingest, room, seal, tally, writer};

struct Wall<'c>(BenchmarkGroup<'c, WallTime>);

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

fn measure(criterion: &mut Criterion) {
    codec::measure(&mut Wall(criterion.benchmark_group("codec")));
    ingest::measure(&mut Wall(criterion.benchmark_group("ingest")));
    room::measure(&mut Wall(criterion.benchmark_group("room")));
    fanout::measure(&mut Wall(criterion.benchmark_group("fanout")));
    seal::measure(&mut Wall(criterion.benchmark_group("seal")));
    gate::measure(&mut Wall(criterion.benchmark_group("gate")));
    writer::measure(&mut Wall(criterion.benchmark_group("writer")));
    tally::measure(&mut Wall(criterion.benchmark_group("tally")));
}

criterion_group!(benches, measure);
criterion_main!(benches);

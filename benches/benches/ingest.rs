//! Wall time: a message at the door.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::ingest;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    ingest::measure(&mut Wall::of(criterion, "ingest"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

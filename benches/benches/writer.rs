//! Wall time: commits of the store's writer, syncs included.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::writer;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    writer::measure(&mut Wall::of(criterion, "writer"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

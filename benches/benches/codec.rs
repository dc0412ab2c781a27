//! Wall time: frames to bytes and back.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::codec;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    codec::measure(&mut Wall::of(criterion, "codec"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

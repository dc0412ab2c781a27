//! Wall time: one message to many.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::fanout;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    fanout::measure(&mut Wall::of(criterion, "fanout"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

//! Wall time: the read gate.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::gate;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    gate::measure(&mut Wall::of(criterion, "gate"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

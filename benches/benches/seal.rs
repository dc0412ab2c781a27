//! Wall time: the two locks.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::seal;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    seal::measure(&mut Wall::of(criterion, "seal"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

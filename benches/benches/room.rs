//! Wall time: a message's turn in its room.

mod wall;

use criterion::{Criterion, criterion_group, criterion_main};
use livehelp_benches::room;

use self::wall::Wall;

fn measure(criterion: &mut Criterion) {
    room::measure(&mut Wall::of(criterion, "room"));
}

criterion_group!(benches, measure);
criterion_main!(benches);

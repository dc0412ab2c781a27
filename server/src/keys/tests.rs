use super::*;

#[test]
fn a_uuid_of_version_7_carries_its_moment() {
    let id = uuid_v7(UnixMillis(1_700_000_000_000));
    assert_eq!(id.get_version_num(), 7);
    assert!(uuid_v7(UnixMillis(1_700_000_000_001)) > id);
}

//! The database holds what the inventory says, and nothing of a person who is erased.

use std::collections::BTreeSet;

use super::*;
use crate::store::record::{DECLARED, Ends, Holds, Table};
use crate::store::{Change, Write, inventory};

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn tables(connection: &Connection) -> Vec<String> {
    texts(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
}

#[test]
fn every_table_and_column_is_in_the_inventory() {
    let connection = file::connect_to_memory().unwrap();
    let tables = tables(&connection);
    let declared = DECLARED.iter().map(|declared| declared.table.name);
    let declared: BTreeSet<_> =
        declared.chain(inventory::TABLES.iter().map(|place| place.name)).collect();
    assert_eq!(tables.iter().map(String::as_str).collect::<BTreeSet<_>>(), declared);
    for table in &tables {
        let mut found: Vec<(String, String, bool)> = connection
            .prepare(&format!("SELECT name, type, \"notnull\" FROM pragma_table_info('{table}')"))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        found.sort();
        let mut listed = inventory::columns(table).unwrap();
        listed.sort_by_key(|(name, ..)| *name);
        let names: Vec<_> = listed.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let there: Vec<_> = found.iter().map(|(name, ..)| name.clone()).collect();
        assert_eq!(there, names, "{table}");
        for ((name, kind, not_null), (_, holds, optional)) in found.iter().zip(listed) {
            let expected = match holds {
                Some(Holds::Number) => "INTEGER",
                Some(Holds::Text) => "TEXT",
                Some(Holds::Bytes) => "BLOB",
                None => continue,
            };
            assert_eq!((kind.as_str(), *not_null), (expected, !optional), "{table}.{name}");
        }
    }
}

/// The columns of each index of a table; whether two rows may have them alike.
fn indexes(connection: &Connection, table: &str) -> BTreeSet<(Vec<String>, bool)> {
    let sql = format!("SELECT name FROM pragma_index_list('{table}')");
    let names = texts(connection, &sql);
    let columns = |name: &String| {
        texts(connection, &format!("SELECT name FROM pragma_index_info('{name}') ORDER BY seqno"))
    };
    let unique = |name: &String| {
        let sql =
            format!("SELECT \"unique\" FROM pragma_index_list('{table}') WHERE name = '{name}'");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    names.iter().map(|name| (columns(name), unique(name))).collect()
}

#[test]
fn every_record_has_the_indexes_that_it_declares() {
    let connection = file::connect_to_memory().unwrap();
    for table in DECLARED.iter().map(|declared| declared.table) {
        let own =
            |columns: &&[&str]| columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let unique = table.unique.iter().map(|columns| (own(columns), true));
        let others = table.indexes.iter().map(|columns| (own(columns), false));
        let declared: BTreeSet<_> = unique.chain(others).collect();
        assert_eq!(indexes(&connection, table.name), declared, "{}", table.name);
        let (Ends::At(column) | Ends::After(column, _)) = table.ends else { continue };
        // Links are as few as agents.
        let few = table.name == "password_resets";
        assert!(few || table.indexes.contains(&[column].as_slice()), "{}", table.name);
    }
}

/// Of a visitor, and of an agent: no row of any table has a sealed value of theirs, and no file
/// their words.
#[tokio::test]
async fn nothing_of_an_erased_person_is_left_in_any_table() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    let world = World::new(1);
    world.settle(&*store).await;
    store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    let World { tenant, site, visitor, agent, conversation, .. } = world;
    let text = Personal::new("half a".to_owned());
    let draft = DraftRow { tenant, site, conversation, visitor, agent, text, day: NOW.day() };
    let session = SessionRow {
        session: SessionId::from_bytes([1; 16]),
        agent,
        tenant,
        secret: world.secret(3),
        client: Personal::new("Firefox".to_owned()),
        created_at: NOW,
        expires_at: NOW.plus_ms(1),
    };
    store.change(vec![Change::create(session)]).await.unwrap();
    store.write(vec![Write::Draft(Box::new(draft))]).await.unwrap();
    store.write(vec![Write::Message(world.message(1, "words"))]).await.unwrap();
    for subject in [Subject::Visitor(visitor), Subject::Agent(agent)] {
        keys.destroy_subject(tenant, subject).unwrap();
        store.forget(tenant, subject).await.unwrap();
    }
    store.close().await;
    let file = Connection::open(file::database_path(&folder.path().join("data"))).unwrap();
    let theirs = |table: &Table| table.person == Some("agent") || table.is_of_visitors();
    let records = DECLARED.iter().filter(|declared| theirs(declared.table));
    let records = records.map(|declared| {
        let sealed = declared.table.columns.iter();
        let sealed = sealed.filter(|column| column.role == crate::store::record::Role::Sealed);
        (declared.table.name, sealed.map(|column| column.name).collect::<Vec<_>>())
    });
    let places = inventory::TABLES
        .iter()
        .map(|place| (place.name, place.sealed.split_whitespace().collect()));
    let mut looked_at = 0;
    for (table, sealed) in records.chain(places) {
        for column in sealed {
            let sql = format!("SELECT count(*) FROM {table} WHERE length({column}) > 0");
            let left: u32 = file.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(left, 0, "{table}.{column}");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 11, "{looked_at}");
}

#[test]
fn an_event_of_the_feed_takes_fewer_than_80_bytes() {
    const EVENTS: u64 = 20_000;
    let connection = file::connect_to_memory().unwrap();
    let bytes = || -> u64 {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        pragma("page_count").unwrap() * pragma("page_size").unwrap()
    };
    let before = bytes();
    // A busy Organization among thousands, and a message each.
    let sql = "INSERT INTO feed (tenant, site, kind, object, version, subject, day)
        VALUES (?1, 4000, 1, randomblob(16), ?2, randomblob(16), 2500)";
    let mut insert = connection.prepare(sql).unwrap();
    for n in 0..EVENTS {
        insert.execute((3_000 + n % 7, n % 300)).unwrap();
    }
    let each = (bytes() - before) / EVENTS;
    assert!((40..=80).contains(&each), "{each} bytes an event");
}

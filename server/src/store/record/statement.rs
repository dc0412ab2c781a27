//! The SQL of records, made from a table's declaration for SQLite and for PostgreSQL.
//!
//! Lives here: every statement about a record. Not here: what is sealed before (`executor`), who
//! runs it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;
use sea_query::{
    ColumnDef, Expr, ExprTrait as _, Func, Index, OnConflict, Order as SqlOrder,
    PostgresQueryBuilder, Query, SelectStatement, SqliteQueryBuilder, Table as SqlTable,
};

use super::change::{Equal, Order};
use super::{Again, Holds, Role, Table, Value};

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum Dialect {
    Sqlite,
    #[cfg_attr(not(test), expect(dead_code, reason = "the conformance suite runs it"))]
    Postgres,
}

/// A statement with the values of its places.
pub(in crate::store) struct Statement {
    pub(in crate::store) sql: Arc<str>,
    pub(in crate::store) values: Vec<Value>,
}

/// The number that every table has beside its declared columns.
const NUMBER: &str = "id";

macro_rules! build {
    ($query:expr, $dialect:expr) => {{
        let (sql, values) = match $dialect {
            Dialect::Sqlite => $query.build(SqliteQueryBuilder),
            Dialect::Postgres => $query.build(PostgresQueryBuilder),
        };
        Statement { sql: sql.into(), values: values.into_iter().map(from_sql).collect() }
    }};
}

/// The texts of what is asked and written most often: they depend on columns alone. As many as
/// there are shapes of questions in this program.
static TEXTS: LazyLock<RwLock<HashMap<Shape, Arc<str>>>> = LazyLock::new(RwLock::default);

/// What a text depends on: the table, its columns, those that are compared, each with whether it is
/// empty, and what of them is asked for. Without a range it puts a row.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    table: &'static str,
    columns: Vec<&'static str>,
    of: Vec<(&'static str, bool)>,
    range: Option<RangeShape>,
    dialect: Dialect,
}

/// A range without its values.
#[derive(PartialEq, Eq, Hash)]
struct RangeShape {
    is_last_first: bool,
    along: Option<&'static str>,
    above: Option<&'static str>,
    is_limited: bool,
}

/// A statement whose values are these, in their order.
fn remembered(shape: Shape, values: Vec<Value>, make: impl FnOnce() -> Statement) -> Statement {
    let known = TEXTS.read().get(&shape).cloned();
    let sql = known.unwrap_or_else(|| {
        let made = make().sql;
        TEXTS.write().insert(shape, Arc::clone(&made));
        made
    });
    Statement { sql, values }
}

/// What a question is about, beside the columns that are equal to something.
#[derive(Debug)]
pub(in crate::store) struct Range<'a> {
    pub(in crate::store) order: Order,
    /// The index to walk along.
    pub(in crate::store) along: Option<&'static str>,
    /// This column is greater.
    pub(in crate::store) above: Option<(&'static str, i64)>,
    /// Rows after the one with this id of the same tenant.
    pub(in crate::store) after: Option<&'a Value>,
    pub(in crate::store) limit: Option<u64>,
}

impl Default for Range<'_> {
    fn default() -> Self {
        Self { order: Order::Made, along: None, above: None, after: None, limit: None }
    }
}

impl Range<'_> {
    /// Whether its values stand in the text in this order: `above`, `limit`.
    fn is_plain(&self) -> bool {
        matches!(self.order, Order::Made | Order::Last) && self.after.is_none()
    }
}

/// The rows of which these hold, in a range.
pub(in crate::store) fn select(
    table: &'static Table,
    columns: &[&'static str],
    of: &[Equal],
    range: &Range<'_>,
    dialect: Dialect,
) -> Statement {
    if !range.is_plain() {
        return select_range(table, columns, of, range, dialect);
    }
    let shape = Shape {
        table: table.name,
        columns: columns.to_vec(),
        of: of.iter().map(|(name, value)| (*name, *value == Value::Null)).collect(),
        range: Some(RangeShape {
            is_last_first: range.order == Order::Last,
            along: range.along,
            above: range.above.map(|(column, _)| column),
            is_limited: range.limit.is_some(),
        }),
        dialect,
    };
    let values = of.iter().map(|(_, value)| value).filter(|value| **value != Value::Null);
    let above = range.above.map(|(_, at)| Value::Number(at));
    let limit = range.limit.map(|limit| Value::Number(i64::try_from(limit).unwrap_or(i64::MAX)));
    let values = values.cloned().chain(above).chain(limit).collect();
    remembered(shape, values, || select_range(table, columns, of, range, dialect))
}

fn select_range(
    table: &'static Table,
    columns: &[&'static str],
    of: &[Equal],
    range: &Range<'_>,
    dialect: Dialect,
) -> Statement {
    let mut query = Query::select();
    for name in columns {
        query.expr(col(table, name));
    }
    from(&mut query, table);
    for equal in of {
        query.and_where(holds(table, equal));
    }
    if let Some((column, at)) = range.above {
        query.and_where(col(table, column).gt(at));
    }
    if let Some(after) = range.after {
        let (number, last) = (col(table, NUMBER), number_of(table, after, of));
        query.and_where(match range.order {
            Order::Last => number.lt(last),
            Order::Made | Order::Down(..) | Order::Up(..) => number.gt(last),
        });
    }
    in_order(&mut query, table, range.order);
    if let Some(limit) = range.limit {
        query.limit(limit);
    }
    let mut statement: Statement = build!(query, dialect);
    if let (Some(index), Dialect::Sqlite) = (range.along, dialect) {
        let from = format!("FROM \"{}\"", table.name);
        let along = format!("{from} INDEXED BY \"{index}\"");
        statement.sql = statement.sql.replacen(&from, &along, 1).into();
    }
    statement
}

fn in_order(query: &mut SelectStatement, table: &'static Table, order: Order) {
    match order {
        Order::Made => query.order_by((table.name, NUMBER), SqlOrder::Asc),
        Order::Last => query.order_by((table.name, NUMBER), SqlOrder::Desc),
        Order::Down(column, (below, id), above) => {
            let pair = Expr::tuple([Expr::col(column), Expr::col(table.id)]);
            let last = Expr::tuple([Expr::val(below), Expr::val(id.to_vec())]);
            query.and_where(pair.lt(last)).and_where(Expr::col(column).gt(above));
            query.order_by(column, SqlOrder::Desc).order_by(table.id, SqlOrder::Desc)
        }
        Order::Up(column, (but, number)) => {
            // In the text: an index for the others alone is found by it.
            query.and_where(Expr::col(but).ne(Expr::cust(number.to_string())));
            query.order_by(column, SqlOrder::Asc).order_by(table.id, SqlOrder::Asc)
        }
    };
}

/// The number of a tenant's row, 0 where there is none.
fn number_of(table: &'static Table, id: &Value, of: &[Equal]) -> Expr {
    let mut query: SelectStatement = Query::select();
    query.column((table.name, NUMBER)).and_where(holds(table, &(table.id, id.clone())));
    from(&mut query, table);
    for equal in of.iter().filter(|(name, _)| Some(*name) == table.tenant) {
        query.and_where(holds(table, equal));
    }
    let found = Expr::SubQuery(None, Box::new(query.into()));
    Func::coalesce([found, Expr::val(0_i64)]).into()
}

pub(in crate::store) fn insert(
    table: &'static Table,
    row: Vec<Equal>,
    dialect: Dialect,
) -> Statement {
    let (names, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let mut query = Query::insert();
    query.into_table(table.name).columns(names);
    query.values_panic(values.into_iter().map(value));
    build!(query, dialect)
}

/// A row, new or changed.
pub(in crate::store) fn put(
    table: &'static Table,
    again: &'static Again,
    row: Vec<Equal>,
    dialect: Dialect,
) -> Statement {
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let make = || {
        let unique = table.unique.first().copied().unwrap_or_default();
        let new = |name: &&'static str| !unique.contains(name) && !again.stays.contains(name);
        let mut conflict = OnConflict::columns(unique.iter().copied());
        conflict.update_columns(columns.iter().filter(|name| new(name)).copied());
        let excluded = |name: &'static str| Expr::col(("excluded", name));
        for name in again.alike {
            conflict.action_and_where(excluded(name).eq(Expr::col((table.name, *name))));
        }
        if let Some(name) = again.version {
            conflict.action_and_where(excluded(name).gte(Expr::col((table.name, name))));
        }
        let mut query = Query::insert();
        query.into_table(table.name).columns(columns.iter().copied()).on_conflict(conflict);
        query.values_panic(columns.iter().map(|_| Expr::val(0_i64)));
        build!(query, dialect)
    };
    let (of, columns_of) = (Vec::new(), columns.clone());
    let shape = Shape { table: table.name, columns: columns_of, of, range: None, dialect };
    remembered(shape, values, make)
}

pub(in crate::store) fn update(
    table: &'static Table,
    of: &[Equal],
    set: Vec<Equal>,
    dialect: Dialect,
) -> Statement {
    let mut query = Query::update();
    query.table(table.name);
    query.values(set.into_iter().map(|(name, new)| (name, value(new))));
    for equal in of {
        query.and_where(holds(table, equal));
    }
    build!(query, dialect)
}

/// Rows for which these hold, with a moment in this column that is not above that; at most so many,
/// the oldest first.
pub(in crate::store) fn delete(
    table: &'static Table,
    of: &[Equal],
    until: Option<(&'static str, i64)>,
    limit: Option<u64>,
    dialect: Dialect,
) -> Statement {
    let mut found = Query::select();
    found.column((table.name, NUMBER));
    from(&mut found, table);
    for equal in of {
        found.and_where(holds(table, equal));
    }
    if let Some((column, at)) = until {
        found.and_where(col(table, column).lte(at)).order_by(column, SqlOrder::Asc);
    }
    if let Some(limit) = limit {
        found.limit(limit);
    }
    let mut query = Query::delete();
    query.from_table(table.name).and_where(Expr::col(NUMBER).in_subquery(found));
    build!(query, dialect)
}

/// What makes the table and its indexes where there is none: PostgreSQL's first day, and what
/// SQLite's is compared with.
#[cfg_attr(not(test), expect(dead_code, reason = "the conformance suite runs it"))]
pub(in crate::store) fn create(table: &'static Table, dialect: Dialect) -> Vec<String> {
    let mut made = SqlTable::create();
    made.table(table.name);
    let mut number = ColumnDef::new(NUMBER);
    match dialect {
        Dialect::Sqlite => number.integer().primary_key(),
        Dialect::Postgres => {
            number.big_integer().primary_key().extra("GENERATED ALWAYS AS IDENTITY")
        }
    };
    made.col(number);
    for column in table.columns.iter().filter(|column| column.role != Role::Outer) {
        let mut new = ColumnDef::new(column.name);
        match (column.holds, dialect) {
            (Holds::Number, Dialect::Sqlite) => new.integer(),
            (Holds::Number, Dialect::Postgres) => new.big_integer(),
            (Holds::Text, _) => new.text(),
            (Holds::Bytes, _) => new.blob(),
        };
        if !column.optional {
            new.not_null();
        }
        if column.role == Role::Counted {
            new.default(0);
        }
        made.col(new);
    }
    let all = table.unique.iter().map(|columns| (columns, true));
    let all = all.chain(table.indexes.iter().map(|columns| (columns, false)));
    let indexes = all.map(|(columns, unique)| {
        let mut index = Index::create();
        index.name(format!("{}_by_{}", table.name, columns.join("_and_"))).table(table.name);
        for column in *columns {
            index.col(*column);
        }
        if unique {
            index.unique();
        }
        match dialect {
            Dialect::Sqlite => index.build(SqliteQueryBuilder),
            Dialect::Postgres => index.build(PostgresQueryBuilder),
        }
    });
    let made = match dialect {
        Dialect::Sqlite => made.build(SqliteQueryBuilder),
        Dialect::Postgres => made.build(PostgresQueryBuilder),
    };
    std::iter::once(made).chain(indexes).collect()
}

fn holds(table: &'static Table, (column, wanted): &Equal) -> Expr {
    if *wanted == Value::Null {
        return col(table, column).is_null();
    }
    col(table, column).eq(value(wanted.clone()))
}

/// The table, with the one whose rows its rows hang on.
fn from(query: &mut SelectStatement, table: &'static Table) {
    query.from(table.name);
    let within = table.columns.iter().find(|column| column.role == Role::Within);
    if let (Some(outer), Some(within)) = (table.within, within) {
        let number = Expr::col((outer.name, NUMBER));
        query.inner_join(outer.name, number.eq(Expr::col((table.name, within.name))));
    }
}

/// A column, wherever it stands.
fn col(table: &'static Table, name: &'static str) -> Expr {
    let role = table.column(name).map(|column| column.role);
    match (table.within, role) {
        (None, _) => Expr::col(name),
        (Some(outer), Some(Role::Within)) => Expr::col((outer.name, outer.id)),
        (Some(outer), Some(Role::Outer)) => Expr::col((outer.name, name)),
        (Some(_), _) => Expr::col((table.name, name)),
    }
}

/// The number of a row for which these hold.
pub(in crate::store) fn number(table: &'static Table, of: &[Equal], dialect: Dialect) -> Statement {
    select(table, &[NUMBER], of, &Range::default(), dialect)
}

fn value(value: Value) -> Expr {
    Expr::val(match value {
        // Of whichever type: a place that is empty.
        Value::Null => sea_query::Value::Bytes(None),
        Value::Number(number) => sea_query::Value::BigInt(Some(number)),
        Value::Text(text) => sea_query::Value::String(Some(text)),
        Value::Bytes(bytes) => sea_query::Value::Bytes(Some(bytes)),
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the types that no statement here has")]
fn from_sql(value: sea_query::Value) -> Value {
    match value {
        sea_query::Value::BigInt(Some(number)) => Value::Number(number),
        // A limit.
        sea_query::Value::BigUnsigned(Some(number)) => {
            Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
        }
        sea_query::Value::String(Some(text)) => Value::Text(text),
        sea_query::Value::Bytes(Some(bytes)) => Value::Bytes(bytes),
        _ => Value::Null,
    }
}

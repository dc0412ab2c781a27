//! The SQL of records, made from a table's declaration for SQLite and for PostgreSQL.
//!
//! Lives here: every statement about a record. Not here: what is sealed before (`executor`), who runs it.

use sea_query::{
    ColumnDef, Expr, ExprTrait as _, Func, Index, Order, PostgresQueryBuilder, Query,
    SelectStatement, SqliteQueryBuilder, Table as SqlTable,
};

use super::change::Equal;
use super::{Holds, Table, Value};

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
    #[cfg_attr(not(test), expect(dead_code, reason = "the conformance suite runs it"))]
    Postgres,
}

/// A statement with the values of its places.
pub(in crate::store) struct Statement {
    pub(in crate::store) sql: String,
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
        Statement { sql, values: values.into_iter().map(from_sql).collect() }
    }};
}

/// What a question is about, beside the columns that are equal to something.
#[derive(Debug, Default)]
pub(in crate::store) struct Range<'a> {
    /// This column is greater.
    pub(in crate::store) above: Option<(&'static str, i64)>,
    /// Rows after the one with this id of the same tenant.
    pub(in crate::store) after: Option<&'a Value>,
    pub(in crate::store) limit: Option<u64>,
}

pub(in crate::store) fn select(
    table: &'static Table,
    columns: &[&'static str],
    of: &[Equal],
    range: &Range<'_>,
    dialect: Dialect,
) -> Statement {
    let mut query = Query::select();
    query.columns(columns.iter().copied()).from(table.name);
    for equal in of {
        query.and_where(holds(equal));
    }
    if let Some((column, at)) = range.above {
        query.and_where(Expr::col(column).gt(at));
    }
    if let Some(after) = range.after {
        query.and_where(Expr::col(NUMBER).gt(number_of(table, after, of)));
    }
    query.order_by(NUMBER, Order::Asc);
    if let Some(limit) = range.limit {
        query.limit(limit);
    }
    build!(query, dialect)
}

/// The number of a tenant's row, 0 where there is none.
fn number_of(table: &'static Table, id: &Value, of: &[Equal]) -> Expr {
    let mut query: SelectStatement = Query::select();
    query.column(NUMBER).from(table.name).and_where(holds(&(table.id, id.clone())));
    for equal in of.iter().filter(|(name, _)| Some(*name) == table.tenant) {
        query.and_where(holds(equal));
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
        query.and_where(holds(equal));
    }
    build!(query, dialect)
}

/// Rows for which these hold, with a moment in this column that is not above that; at most so many, the oldest first.
pub(in crate::store) fn delete(
    table: &'static Table,
    of: &[Equal],
    until: Option<(&'static str, i64)>,
    limit: Option<u64>,
    dialect: Dialect,
) -> Statement {
    let mut found = Query::select();
    found.column(NUMBER).from(table.name);
    for equal in of {
        found.and_where(holds(equal));
    }
    if let Some((column, at)) = until {
        found.and_where(Expr::col(column).lte(at)).order_by(column, Order::Asc);
    }
    if let Some(limit) = limit {
        found.limit(limit);
    }
    let mut query = Query::delete();
    query.from_table(table.name).and_where(Expr::col(NUMBER).in_subquery(found));
    build!(query, dialect)
}

/// What makes the table and its indexes where there is none: PostgreSQL's first day, and what SQLite's is compared with.
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
    for column in table.columns {
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

fn holds((column, wanted): &Equal) -> Expr {
    if *wanted == Value::Null {
        return Expr::col(*column).is_null();
    }
    Expr::col(*column).eq(value(wanted.clone()))
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

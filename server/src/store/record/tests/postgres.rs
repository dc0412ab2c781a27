//! The same against a real PostgreSQL, which the test starts and ends.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Row as SqlRow};

use super::*;
use crate::privacy::seal::Bucket;
use crate::store::record::statement::{self, Dialect, Statement};

/// Debian keeps its programs off the search path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name));
    let found = found.filter(|path| path.is_file()).max();
    found.expect("PostgreSQL is needed: apt-get install postgresql")
}

/// A server of its own, gone with the test.
struct Server {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// PostgreSQL refuses to run as root: then its own user does.
fn as_its_user(is_root: bool) -> Command {
    let mut command = Command::new("setpriv");
    if is_root {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    // Its helpers end with it, and it with the test.
    command.args(["--pdeathsig", "QUIT", "--"]).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn start() -> Server {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let owned = Command::new("chown").arg("postgres").arg(&data).status().unwrap();
        assert!(owned.success(), "there is no user `postgres`");
    }
    init(&data, is_root);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = as_its_user(is_root);
    command.arg(program("postgres")).args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]);
    let child = command.arg("-D").arg(&data).spawn().unwrap();
    Server { child, port, _folder: folder }
}

fn init(data: &Path, is_root: bool) {
    let mut init = as_its_user(is_root);
    init.arg(program("initdb")).args(["--auth=trust", "--username=test", "--no-sync", "-D"]);
    assert!(init.arg(data).status().unwrap().success(), "initdb failed");
}

impl ToSql for Value {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Number(number) => number.to_sql(of, out),
            Self::Text(text) => text.to_sql(of, out),
            Self::Bytes(bytes) => bytes.to_sql(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A connection, and the thread's own runtime on which it works.
struct Postgres<'a> {
    runtime: tokio::runtime::Runtime,
    client: Client,
    sealer: &'a dyn Sealer,
    buckets: RefCell<Vec<Bucket>>,
}

#[derive(Debug)]
enum Fault {
    Refused(StoreError),
    Keys,
    Server(tokio_postgres::Error),
    Row,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<crate::privacy::seal::SealError> for Fault {
    fn from(_: crate::privacy::seal::SealError) -> Self {
        Self::Keys
    }
}

impl<'a> Postgres<'a> {
    #[expect(clippy::disallowed_methods, reason = "a test's own connection, on its own runtime")]
    fn connect(server: &mut Server, sealer: &'a dyn Sealer) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("host=127.0.0.1 port={} user=test dbname=postgres", server.port);
        let client = runtime.block_on(async {
            // It is ready when it lets somebody in; it has ended when it never will.
            loop {
                if let Ok((client, connection)) = tokio_postgres::connect(&address, NoTls).await {
                    tokio::spawn(connection);
                    return client;
                }
                assert!(server.child.try_wait().unwrap().is_none(), "PostgreSQL ended");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { runtime, client, sealer, buckets: RefCell::default() }
    }

    fn make(&self, declared: &Declared) {
        for sql in statement::create(declared.table, Dialect::Postgres) {
            self.runtime.block_on(self.client.batch_execute(&sql)).unwrap();
        }
    }
}

fn places(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    statement.values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn values(row: &SqlRow) -> Result<Vec<Value>, Fault> {
    let value = |(at, column): (usize, &tokio_postgres::Column)| match *column.type_() {
        Type::INT8 => Ok(row.get::<_, Option<i64>>(at).map_or(Value::Null, Value::Number)),
        Type::TEXT => Ok(row.get::<_, Option<String>>(at).map_or(Value::Null, Value::Text)),
        Type::BYTEA => Ok(row.get::<_, Option<Vec<u8>>>(at).map_or(Value::Null, Value::Bytes)),
        _ => Err(Fault::Row),
    };
    row.columns().iter().enumerate().map(value).collect()
}

impl Asks for Postgres<'_> {
    type Fault = Fault;
    const DIALECT: Dialect = Dialect::Postgres;

    fn query(&self, statement: &Statement) -> Result<Vec<Vec<Value>>, Fault> {
        let places = places(statement);
        let asked = self.client.query(&*statement.sql, &places);
        self.runtime.block_on(asked).map_err(Fault::Server)?.iter().map(values).collect()
    }

    fn sealer(&self) -> &dyn Sealer {
        self.sealer
    }

    fn now(&self) -> i64 {
        now()
    }

    fn damaged(_: &'static str) -> Fault {
        Fault::Row
    }
}

impl Writes for Postgres<'_> {
    fn execute(&self, statement: &Statement) -> Result<usize, Fault> {
        let places = places(statement);
        let done = self.client.execute(&*statement.sql, &places);
        let changed = self.runtime.block_on(done).map_err(Fault::Server)?;
        Ok(usize::try_from(changed).unwrap())
    }

    fn bucket(&mut self, bucket: &Bucket) -> Result<i64, Fault> {
        let mut buckets = self.buckets.borrow_mut();
        if !buckets.contains(bucket) {
            buckets.push(*bucket);
        }
        let at = buckets.iter().position(|known| known == bucket).unwrap();
        Ok(i64::try_from(at).unwrap())
    }

    fn taken(fault: Fault, what: &'static str) -> Fault {
        if let Fault::Server(error) = &fault
            && error.code() == Some(&SqlState::UNIQUE_VIOLATION)
        {
            return Fault::Refused(StoreError::Exists { what });
        }
        fault
    }

    fn noted(&mut self, _: &'static Table, _: TenantId, _: &executor::Noted) -> Result<(), Fault> {
        Ok(())
    }

    fn refused(fault: &Fault) -> Option<&StoreError> {
        match fault {
            Fault::Refused(error) => Some(error),
            Fault::Keys | Fault::Server(_) | Fault::Row => None,
        }
    }
}

#[test]
fn every_table_does_on_postgres_what_it_declares() {
    let keys = KeyStore::in_memory().unwrap();
    let mut server = start();
    let mut postgres = Postgres::connect(&mut server, &keys);
    DECLARED.iter().for_each(|declared| postgres.make(declared));
    conformance(&mut postgres, &keys);
}

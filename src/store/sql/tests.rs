//! Statements with mistakes.

use super::*;

#[test]
fn a_mistake_in_a_statement_is_an_error_that_says_what_it_is() {
    let mut connection = Connection::in_memory();
    let tx = Transaction::begin(&mut connection).unwrap();
    tx.execute("CREATE TABLE t (a, b)", ()).unwrap();
    let message = |result: Result<usize, StoreError>| result.unwrap_err().to_string();
    for too_few in [
        tx.execute("INSERT INTO t VALUES (?1, ?2)", [1]),
        tx.execute("INSERT INTO t VALUES (:a, :b)", named_params! { ":a": 1 }),
        tx.execute("INSERT INTO t VALUES (1, ?1)", ()),
    ] {
        assert!(message(too_few).contains("number of parameters"));
    }
    let unknown = tx.execute("INSERT INTO t VALUES (:a, 1)", named_params! { ":b": 1 });
    assert!(message(unknown).contains(":b"));
    assert_eq!(tx.execute("INSERT INTO t VALUES (?1, ?2)", (1, "x")).unwrap(), 1);
    let wrong = tx.query_one("SELECT a, b FROM t", (), |row| row.get::<i64>("b"));
    assert!(wrong.unwrap_err().to_string().starts_with("the store holds a bad `b`: "));
    assert_eq!(tx.query_opt("SELECT a FROM t WHERE a = 2", (), |row| row.get::<i64>(0)).unwrap(), None);
    assert!(tx.query_value::<i64>("SELECT a FROM t WHERE a = 2", ()).is_err());
    assert_eq!(tx.query_count("SELECT count(*) FROM t", ()).unwrap(), 1);
}

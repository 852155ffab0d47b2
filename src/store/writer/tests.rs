//! The writer, with closures of its own.

use super::*;

#[test]
fn a_closure_releases_its_former_result_before_it_runs_again() {
    let mut connection = Connection::in_memory();
    let tx = Tx::begin(&mut connection).unwrap();
    let permit = Arc::new(());
    let work = |_: &Tx<'_>| Ok((Arc::clone(&permit), Arc::strong_count(&permit)));
    let mut closure = Closure { changes: Changes::Anything, work, result: None, reply: oneshot::channel().0 };
    closure.run(&tx).unwrap();
    closure.run(&tx).unwrap();
    let (_kept, holders) = closure.result.unwrap().unwrap();
    assert_eq!(holders, 2, "this test, and the present result");
}

//! The parameters of a statement.

use rusqlite::Statement;
use rusqlite::types::{ToSql, Value};

use crate::store::StoreError;

/// The values of a statement's parameters: `()` for none, a tuple, an array or a list for `?1`, `?2` and so on, and
/// `named_params!` for names. All of them have to be given.
pub(in crate::store) trait Params {
    fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError>;
}

impl Params for () {
    fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError> {
        by_place(statement, &[])
    }
}

impl Params for &[(&str, &dyn ToSql)] {
    fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError> {
        for (name, value) in self {
            let index = statement
                .parameter_index(name)?
                .ok_or_else(|| rusqlite::Error::InvalidParameterName((*name).to_owned()))?;
            statement.raw_bind_parameter(index, value)?;
        }
        demand_all(statement, self.len())
    }
}

impl<const N: usize> Params for &[(&str, &dyn ToSql); N] {
    fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError> {
        self.as_slice().bind(statement)
    }
}

impl<T: ToSql, const N: usize> Params for [T; N] {
    fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError> {
        by_place(statement, &self.each_ref().map(|value| value as &dyn ToSql))
    }
}

impl Params for &[Value] {
    fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError> {
        by_place(statement, &self.iter().map(|value| value as &dyn ToSql).collect::<Vec<_>>())
    }
}

macro_rules! tuples {
    ($($first:ident $($other:ident)*;)*) => {$(
        impl<$first: ToSql $(, $other: ToSql)*> Params for ($first, $($other,)*) {
            fn bind(self, statement: &mut Statement<'_>) -> Result<(), StoreError> {
                #[expect(non_snake_case, reason = "each value is named after its type")]
                let ($first, $($other,)*) = &self;
                by_place(statement, &[$first $(, $other)*])
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K L;
}

fn by_place(statement: &mut Statement<'_>, values: &[&dyn ToSql]) -> Result<(), StoreError> {
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    demand_all(statement, values.len())
}

/// Fails if a parameter has no value: it would silently be NULL.
fn demand_all(statement: &Statement<'_>, given: usize) -> Result<(), StoreError> {
    let needed = statement.parameter_count();
    if given == needed {
        return Ok(());
    }
    Err(rusqlite::Error::InvalidParameterCount(given, needed).into())
}

//! The parameters of a statement.

use rusqlite::types::{ToSql, Value};

use crate::store::StoreError;

/// The values of a statement's parameters: `()` for none, a tuple, an array or a list for `?1`, `?2` and so on, and
/// `named_params!` for names. All of them have to be given.
pub(in crate::store) trait Params {
    fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError>;
}

/// The parameters that a statement has.
///
/// # Errors
/// Both fail unless exactly those get a value that there are: one without would silently be NULL.
pub(in crate::store) trait Parameters {
    fn bind_by_place(&mut self, values: &[&dyn ToSql]) -> Result<(), StoreError>;
    fn bind_by_name(&mut self, values: &[(&str, &dyn ToSql)]) -> Result<(), StoreError>;
}

impl Params for () {
    fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError> {
        to.bind_by_place(&[])
    }
}

impl Params for &[(&str, &dyn ToSql)] {
    fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError> {
        to.bind_by_name(self)
    }
}

impl<const N: usize> Params for &[(&str, &dyn ToSql); N] {
    fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError> {
        to.bind_by_name(self)
    }
}

impl<T: ToSql, const N: usize> Params for [T; N] {
    fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError> {
        to.bind_by_place(&self.each_ref().map(|value| value as &dyn ToSql))
    }
}

impl Params for &[Value] {
    fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError> {
        to.bind_by_place(&self.iter().map(|value| value as &dyn ToSql).collect::<Vec<_>>())
    }
}

macro_rules! tuples {
    ($($first:ident $($other:ident)*;)*) => {$(
        impl<$first: ToSql $(, $other: ToSql)*> Params for ($first, $($other,)*) {
            fn bind(self, to: &mut dyn Parameters) -> Result<(), StoreError> {
                #[expect(non_snake_case, reason = "each value is named after its type")]
                let ($first, $($other,)*) = &self;
                to.bind_by_place(&[$first $(, $other)*])
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

impl Parameters for rusqlite::Statement<'_> {
    fn bind_by_place(&mut self, values: &[&dyn ToSql]) -> Result<(), StoreError> {
        for (index, value) in values.iter().enumerate() {
            self.raw_bind_parameter(index + 1, value)?;
        }
        demand_all(values.len(), self.parameter_count())
    }

    fn bind_by_name(&mut self, values: &[(&str, &dyn ToSql)]) -> Result<(), StoreError> {
        for (name, value) in values {
            let index = self.parameter_index(name)?.ok_or_else(|| unknown(name))?;
            self.raw_bind_parameter(index, value)?;
        }
        demand_all(values.len(), self.parameter_count())
    }
}

pub(super) fn unknown(name: &str) -> StoreError {
    rusqlite::Error::InvalidParameterName(name.to_owned()).into()
}

pub(super) fn demand_all(given: usize, needed: usize) -> Result<(), StoreError> {
    if given == needed {
        return Ok(());
    }
    Err(rusqlite::Error::InvalidParameterCount(given, needed).into())
}

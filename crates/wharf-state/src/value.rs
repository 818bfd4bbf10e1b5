//! Values between statements and our records: what both SQLite and PostgreSQL can hold.

use crate::SqlError;

/// A value of a row or of a statement's argument. A `bool` is 0 or 1, a time is milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// INTEGER; BIGINT of PostgreSQL.
    Integer(i64),
    /// TEXT.
    Text(&'a str),
    /// BLOB; BYTEA of PostgreSQL.
    Blob(&'a [u8]),
}

/// What can be an argument of a statement.
pub trait ToValue {
    /// As a value.
    fn value(&self) -> Value<'_>;
}

/// What can be read from a row.
pub trait FromValue: Sized {
    /// From a value; `Err` says what was expected.
    fn from_value(value: Value<'_>) -> Result<Self, &'static str>;
}

/// Arguments of a statement: `()`, an array, or a tuple; `?1` is the first.
pub trait Params {
    /// All of them in order.
    fn values(&self) -> Vec<Value<'_>>;
}

/// A row of an answer; columns count from 0.
pub struct Row<'a> {
    pub(crate) columns: &'a dyn Columns,
}

/// A row as an engine gives it.
pub(crate) trait Columns {
    fn value(&self, index: usize) -> Result<Value<'_>, SqlError>;
}

impl Row<'_> {
    /// The value of the column.
    ///
    /// Errors: `Column` when there is none or it has another type.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, SqlError> {
        let value = self.columns.value(index)?;
        T::from_value(value).map_err(|expected| {
            let kind = match value {
                Value::Null => "NULL",
                Value::Integer(_) => "an integer",
                Value::Text(_) => "a text",
                Value::Blob(_) => "bytes",
            };
            SqlError::column(index, format!("it is {kind}, expected {expected}"))
        })
    }
}

macro_rules! integers {
    ($($type:ty)*) => { $(
        impl ToValue for $type {
            fn value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }
    )* };
}
integers!(bool u8 u16 u32 i32 i64);

macro_rules! integers_back {
    ($($type:ty)*) => { $(
        impl FromValue for $type {
            fn from_value(value: Value<'_>) -> Result<Self, &'static str> {
                let Value::Integer(number) = value else { return Err("an integer") };
                <$type>::try_from(number).map_err(|_| concat!("a number that fits ", stringify!($type)))
            }
        }
    )* };
}
integers_back!(u8 u16 u32 i32 i64);

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<Self, &'static str> {
        let Value::Integer(number) = value else { return Err("0 or 1") };
        Ok(number != 0)
    }
}

impl ToValue for str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<Self, &'static str> {
        let Value::Text(text) = value else { return Err("a text") };
        Ok(text.to_owned())
    }
}

impl ToValue for [u8] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Result<Self, &'static str> {
        let Value::Blob(bytes) = value else { return Err("bytes") };
        Ok(bytes.to_vec())
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value<'_>) -> Result<Self, &'static str> {
        let Value::Blob(bytes) = value else { return Err("bytes") };
        bytes.try_into().map_err(|_| "another number of bytes")
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Result<Self, &'static str> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl Params for () {
    fn values(&self) -> Vec<Value<'_>> {
        Vec::new()
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(T::value).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => { $(
        impl<$($name: ToValue),*> Params for ($($name,)*) {
            fn values(&self) -> Vec<Value<'_>> {
                #[expect(non_snake_case, reason = "a value is named as its type")]
                let ($($name,)*) = self;
                vec![$($name.value()),*]
            }
        }
    )* };
}
tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
    (A B C D E F G H I) (A B C D E F G H I J) (A B C D E F G H I J K) (A B C D E F G H I J K L)
    (A B C D E F G H I J K L M) (A B C D E F G H I J K L M N) (A B C D E F G H I J K L M N O)
    (A B C D E F G H I J K L M N O P)
}

//! Values of a body's statements, to PostgreSQL's types and back.

use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::{StoreError, Value};

/// A parameter. Numbers and texts go as text, so that the server reads them as whatever type the statement has there:
/// a text may be a numeric, a timestamp or a UUID.
#[derive(Debug)]
pub struct Param<'a>(pub &'a Value);

impl ToSql for Param<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Value::Real(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Value::Text(value) => out.extend_from_slice(value.as_bytes()),
            Value::Blob(value) => out.extend_from_slice(value),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self.0 {
            Value::Blob(_) => Format::Binary,
            _ => Format::Text,
        }
    }

    to_sql_checked!();
}

/// All values of a row.
pub fn row(row: &Row) -> Result<Vec<Value>, StoreError> {
    (0..row.len()).map(|at| value(row, at)).collect()
}

fn value(row: &Row, at: usize) -> Result<Value, StoreError> {
    let column = &row.columns()[at];
    Ok(match *column.type_() {
        Type::BOOL => get::<bool>(row, at)?.map(i64::from).into(),
        Type::INT2 => get::<i16>(row, at)?.map(i64::from).into(),
        Type::INT4 => get::<i32>(row, at)?.map(i64::from).into(),
        Type::INT8 => get::<i64>(row, at)?.into(),
        Type::OID => get::<u32>(row, at)?.map(i64::from).into(),
        Type::FLOAT4 => get::<f32>(row, at)?.map(f64::from).into(),
        Type::FLOAT8 => get::<f64>(row, at)?.into(),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => get::<String>(row, at)?.into(),
        Type::BYTEA => get::<Vec<u8>>(row, at)?.into(),
        Type::VOID => Value::Null,
        ref other => {
            return Err(StoreError::Refused(format!(
                "column `{0}` is of type {other}, which has no portable value: have the query answer it as another \
                 type, for example `CAST ({0} AS text)`",
                column.name()
            )));
        }
    })
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<Option<T>, StoreError> {
    row.try_get(at).map_err(|error| StoreError::Refused(super::fault::text(&error)))
}

//! Row checksums: what was written is what is read, or it is said that it is not.
//!
//! A CRC-32 over the table's name and all columns but the last, which holds the sum. It finds every flip of one bit and
//! every burst of up to 32; it is no signature.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};

use crate::error::RowError;

/// The checksum of a row under construction.
struct Sum(crc32fast::Hasher);

impl Sum {
    fn of(table: &str) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(table.as_bytes());
        Self(hasher)
    }

    /// Takes a column in: its type, its length where it has one, its bytes.
    fn column(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.0.update(&[0]),
            ValueRef::Integer(number) => {
                self.0.update(&[1]);
                self.0.update(&number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                self.0.update(&[2]);
                self.0.update(&number.to_bits().to_le_bytes());
            }
            ValueRef::Text(bytes) => self.bytes(3, bytes),
            ValueRef::Blob(bytes) => self.bytes(4, bytes),
        }
    }

    fn bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

/// Runs a statement whose parameters 1 to n are all columns of a row, and n + 1 its checksum. Answers the number of rows
/// changed.
pub(crate) fn write(
    conn: &Connection,
    sql: &'static str,
    table: &'static str,
    columns: &[&dyn ToSql],
) -> rusqlite::Result<usize> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut sum = Sum::of(table);
    for (index, column) in columns.iter().enumerate() {
        let output = column.to_sql()?;
        match &output {
            ToSqlOutput::Borrowed(value) => sum.column(*value),
            ToSqlOutput::Owned(value) => sum.column(value.into()),
            // Zero blobs and pointers: no row of ours has them.
            _ => sum.column(ValueRef::Null),
        }
        statement.raw_bind_parameter(index + 1, &output)?;
    }
    statement.raw_bind_parameter(columns.len() + 1, sum.finish())?;
    statement.raw_execute()
}

/// Checks a row whose columns are all columns of the table in its order.
///
/// # Errors
/// [`RowError::Sum`] where the row is not what was written.
pub(crate) fn verify(table: &'static str, row: &Row<'_>) -> Result<(), RowError> {
    let last = row.as_ref().column_count() - 1;
    let mut sum = Sum::of(table);
    for index in 0..last {
        sum.column(row.get_ref(index)?);
    }
    if row.get::<_, i64>(last)? == sum.finish() { Ok(()) } else { Err(RowError::Sum { table }) }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;

    #[test]
    fn a_row_is_what_was_written_or_it_is_found_out() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (a INTEGER, b TEXT, c BLOB, d REAL, sum INTEGER)").unwrap();
        let insert = "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)";
        write(&conn, insert, "t", &[&7, &"text", &None::<Vec<u8>>, &0.5]).unwrap();
        let check = |table| conn.query_row("SELECT * FROM t", [], |row| Ok(verify(table, row).is_ok())).unwrap();
        assert!(check("t"));
        assert!(!check("another"), "a row of another table is not one of this");
        conn.execute("UPDATE t SET b = ?1", params!["texu"]).unwrap();
        assert!(!check("t"));
    }

    #[test]
    fn where_one_column_ends_matters() {
        let sum = |columns: &[&str]| {
            let mut sum = Sum::of("t");
            for text in columns {
                sum.column(ValueRef::Text(text.as_bytes()));
            }
            sum.finish()
        };
        assert_ne!(sum(&["ab", "c"]), sum(&["a", "bc"]));
    }
}

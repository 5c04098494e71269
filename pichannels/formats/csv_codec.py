"""The codec of CSV: a line for each record, without a line of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pichannels.checks import encoding_name
from pichannels.errors import CodecError, DecodeError
from pichannels.formats.codec import SchemaCodec
from pichannels.formats.csv_rows import Layout, rows_of, written
from pichannels.formats.records import Line, sample_fields
from pichannels.values import Sample

__all__ = ["CsvCodec"]

_OF_SAMPLES: Final = Line.__struct_fields__


class CsvCodec(SchemaCodec):
    """CSV. A record is a line of fields in a fixed order.

    What is written is a mapping, a sequence of fields, a sample, or a list of those;
    what is read is a dict of texts, or a list of them where there are several lines.

    Args:
        fieldnames: the fields in their order; by default those of the JSON object of a
            sample. Samples also have `server`, `ticks` and `timestamp`.
        delimiter: what stands between fields.
        quoting: `minimal`, `all`, `nonnumeric` or `none`, or a constant of the module
            csv.
        encoding: of the bytes.

    Raises:
        SettingsError: an option is not usable.
    """

    content_type = "text/csv"

    def __init__(
        self,
        fieldnames: Sequence[str] | None = None,
        *,
        delimiter: str = ",",
        quoting: int | str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self.fieldnames = list(fieldnames or _OF_SAMPLES)
        self.layout = Layout(delimiter, quoting)
        self.encoding = encoding_name(encoding)

    def body(self, obj: Any) -> bytes:
        is_list = isinstance(obj, list) and bool(obj)
        is_many = is_list and isinstance(obj[0], list | tuple | Mapping | Sample)
        return self._written(obj if is_many else [obj], "live")

    def sample_body(self, sample: Sample, lane: str) -> bytes:
        return self._written([sample], lane)

    def batch_body(self, samples: list[Sample], lane: str) -> bytes:
        return self._written(samples, lane)

    def _written(self, rows: Sequence[Any], lane: str) -> bytes:
        text = written(
            [self._row(row, lane) for row in rows],
            self.layout,
            header=False,
            fieldnames=self.fieldnames,
            newline="\n",
        )
        try:
            return text.removesuffix("\n").encode(self.encoding)
        except UnicodeEncodeError as exc:
            raise CodecError(f"{self.encoding} does not have it: {exc}") from exc

    def _row(self, row: Any, lane: str) -> Any:
        if type(row) is not Sample:
            return row
        fields = sample_fields(row, lane)
        return [fields.get(name) for name in self.fieldnames]

    def decode(self, s: bytes) -> object:
        """A dict of texts, or a list of them.

        Raises:
            DecodeError: it is no CSV, or has another number of fields.
        """
        try:
            text = s.decode(self.encoding)
        except UnicodeDecodeError as exc:
            raise DecodeError("CSV", f"it is not {self.encoding}", s) from exc
        rows = rows_of(
            text, self.layout, headers=False, fieldnames=self.fieldnames, to_dict=True
        )
        if not rows:
            raise DecodeError("CSV", "there is nothing", s)
        return rows[0] if len(rows) == 1 else rows

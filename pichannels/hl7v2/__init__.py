"""HL7 version 2: the blocks of MLLP, the header of a message, acknowledgements."""

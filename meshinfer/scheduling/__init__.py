"""What the head of a ring decides, without asyncio and clocks: who goes round together, how long a chunk is,
which prefixes are kept, and out of what a session comes back.
"""

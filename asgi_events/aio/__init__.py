"""What asyncio lacks; nothing here knows this package."""

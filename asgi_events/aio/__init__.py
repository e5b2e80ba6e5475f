"""What asyncio lacks. Nothing here knows this package."""

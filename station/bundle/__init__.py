"""What the defence gets: footage, sealed original, chain, keys, a report, and a script that checks it all."""

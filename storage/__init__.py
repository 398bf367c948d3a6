"""Storage: the evidence on flash. Format, seal, chain, verify, store and recovery.

`docs/FORMAT.md` is the specification of every byte; the modules here implement it and nothing else. Nothing in this
package can open what it seals: the opener lives at the station.
"""

"""All that touches the network between peers: links that carry whole frames, datagrams, ways to find peers.

`base` is the contract, `registry` makes a transport from an address, `memory` is a network inside one
process for tests. Knows neither messages nor models; imports nothing of meshinfer outside this package.
"""

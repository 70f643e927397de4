-- Milliseconds between an answer and the next request on the same connection.
function delay()
    return 12
end

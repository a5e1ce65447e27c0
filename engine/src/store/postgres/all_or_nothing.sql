-- Ends a statement that was given rows to change and did not find all of them: what is sent behind it, a COMMIT among it,
-- changes nothing then.
CREATE FUNCTION hydra.all_or_nothing(changed bigint, given integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> given THEN
        RAISE EXCEPTION 'changed % rows instead of %: the store does not isolate its transactions', changed, given;
    END IF;
END $$;
